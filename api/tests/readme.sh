#!/bin/bash
# readme.sh: builds the sibling that README.md shows, in a fresh folder outside of the workspace, as its reader would.
# Wants NGINX_SOURCE_DIR and NGINX_BUILD_DIR. With an argument, copies the module there.

set -euo pipefail

root=$(realpath "$(dirname "$0")/../..")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

mkdir "$dir/src"
for file in src/lib.rs Cargo.toml; do
    awk -v mark="<!-- file: $file -->" '
        $0 == mark { found = 1; next }
        found && /^```/ { if (inside) exit; inside = 1; next }
        inside' "$root/README.md" >"$dir/$file"
    [[ -s $dir/$file ]] || { echo "readme.sh: README.md has no $file" >&2; exit 1; }
done

lines=$(wc -l <"$dir/src/lib.rs")
((lines < 40)) || { echo "readme.sh: the sibling has $lines lines" >&2; exit 1; }

# The reader's clone is a neighbour; ours is here. Versions and artifacts of the workspace are used again.
sed -i "s|\.\./ngx-memcache/api|$root/api|" "$dir/Cargo.toml"
cp "$root/Cargo.lock" "$dir"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}

cargo rustc --manifest-path "$dir/Cargo.toml" -- -Dwarnings

[[ $# -eq 0 ]] || install "$CARGO_TARGET_DIR/${CARGO_BUILD_TARGET:-}/debug/libvisits.so" "$1"
echo "readme.sh: the sibling in README.md compiles; it has $lines lines"
