#!/bin/bash
# check-docs.sh: whether the files that ARCHITECTURE.md and CONTRIBUTING.md name are there.

set -euo pipefail

missing=0
for page in ARCHITECTURE.md CONTRIBUTING.md; do
    for name in $(grep -oE '`[a-zA-Z_.][a-zA-Z_./-]*(\.(rs|txt|toml|t|h|md|pm)|/)`' "$page" | tr -d '`' | sort -u); do
        # Files of the engine are named as if from its folder.
        for place in "$name" "engine/src/$name" "t/$name"; do
            [ -e "$place" ] && continue 2
        done
        echo "$page: there is no $name"
        missing=1
    done
done
exit $missing
