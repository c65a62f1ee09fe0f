#!/bin/bash
# readme.sh [OUT]: builds the sibling that README.md shows, with the files and the commands that it shows, in a fresh
# folder outside of the workspace, as its reader would. Copies the module to OUT.
#
# NGINX_SOURCE_DIR and NGINX_BUILD_DIR say for which nginx. For that of "make nginx-headers" they are not used: then
# what README.md says of them has to be right.

set -euo pipefail

root=$(realpath "$(dirname "$0")/../..")
out=$(realpath -m "${1:-/dev/null}")
target=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")/readme/target
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The block of README.md behind a line.
shown() {
    awk -v mark="<!-- $1 -->" '
        $0 == mark { found = 1; next }
        found && /^```/ { if (inside) exit; inside = 1; next }
        inside { print; some = 1 }
        END { exit !some }' "$root/README.md" || { echo "readme.sh: README.md has no \"$1\"" >&2; exit 1; }
}

# The reader's folder is a neighbour of the clone.
ln -s "$root" "$dir/ngx-memcache"
mkdir -p "$dir/visits/src" "$dir/visits/.cargo"
cd "$dir/visits"
for file in src/lib.rs Cargo.toml build.rs .cargo/config.toml; do
    shown "file: $file" >"$file"
done
shown "build the sibling" >"$dir/commands"

lines=$(wc -l <src/lib.rs)
((lines < 40)) || { echo "readme.sh: the sibling has $lines lines" >&2; exit 1; }

# Its reader gets the newest versions of crates; what passes today shall pass tomorrow, too. Compiled ones are kept.
cp "$root/Cargo.lock" .
mkdir -p "$target"
ln -s "$target" target
unset CARGO_TARGET_DIR
[[ $(realpath -m "${NGINX_BUILD_DIR:-/}") != "$root/target/nginx/debian" ]] || unset NGINX_SOURCE_DIR NGINX_BUILD_DIR

bash -eu "$dir/commands" >"$dir/said" 2>&1 || { cat "$dir/said" >&2; exit 1; }
! grep -A 9 '^warning' "$dir/said" >&2 || exit 1

[[ $out == /dev/null ]] || install -D "target/${CARGO_BUILD_TARGET:-}/release/libvisits.so" "$out"
echo "readme.sh: the sibling in README.md compiles; it has $lines lines"
