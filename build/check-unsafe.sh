#!/bin/bash
# check-unsafe.sh: whether `unsafe` is where src/lib.rs, api/src/lib.rs and SECURITY.md say, and nowhere else.

set -euo pipefail

# Files with the keyword outside of comments.
with_unsafe() { { grep -rlE --include='*.rs' '^([^/]|/[^/])*\bunsafe\b' "$@" || true; } | sort; }

# refuse CRATE LEAVE PARENTS: each file of the crate refuses it, but for those with leave. A module gets the leave of the one
# that it is in: so the parents of those with leave cannot refuse it, and have none.
refuse() {
    local file
    for file in $(find "$1" -name '*.rs' | grep -vE "^$1/($2)" | sort); do
        if [[ $file =~ ^$1/($3)$ ]]; then
            ! with_unsafe "$file" | grep . || { echo "$file: unsafe"; exit 1; }
        else
            grep -q '^#!\[forbid(unsafe_code)\]' "$file" || { echo "$file: no #![forbid(unsafe_code)]"; exit 1; }
        fi
    done
}

refuse src 'nginx/|abi/|lib\.rs' 'nginx\.rs|abi\.rs'
# The files of http/: the memory of a future; what wakes a task; the task's end with its request; functions for nginx.
# Those of sys/ are made from the header, and tests have a table of C functions.
refuse api/src 'ffi/|nginx/|http/(slot|task|request_task|directive)\.rs|sys/|operation/call/tests' \
    'ffi\.rs|nginx\.rs|http\.rs|sys\.rs|operation\.rs|operation/call\.rs|lib\.rs'

others=$(with_unsafe engine/src status bits reserve examples | grep -vE '^(bits|reserve|examples/(rate_limit|tokio_bridge))/' || true)
[ -z "$others" ] || { echo "unsafe where SECURITY.md says that there is none:"; echo "$others"; exit 1; }
