#!/bin/bash
# check-unsafe.sh: whether `unsafe` is where src/lib.rs and SECURITY.md say, and nowhere else.

set -euo pipefail

# Files with the keyword outside of comments.
with_unsafe() { { grep -rlE --include='*.rs' '^([^/]|/[^/])*\bunsafe\b' "$@" || true; } | sort; }

# Each file of the module that is not in nginx/ or abi/ refuses it: a module would get the leave of the one that it is in,
# which is why nginx.rs and abi.rs cannot, and have none.
for file in $(find src -name '*.rs' ! -path 'src/nginx/*' ! -path 'src/abi/*' ! -path src/lib.rs | sort); do
    case $file in
        src/nginx.rs | src/abi.rs) ! with_unsafe "$file" | grep . || { echo "$file: unsafe"; exit 1; } ;;
        *) grep -q '^#!\[forbid(unsafe_code)\]' "$file" || { echo "$file: no #![forbid(unsafe_code)]"; exit 1; } ;;
    esac
done

others=$(with_unsafe engine/src status bits api reserve examples | grep -vE '^(api|bits|reserve|examples/(rate_limit|tokio_bridge))/' || true)
[ -z "$others" ] || { echo "unsafe where SECURITY.md says that there is none:"; echo "$others"; exit 1; }
