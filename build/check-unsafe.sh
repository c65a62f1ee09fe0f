#!/bin/bash
# check-unsafe.sh: whether `unsafe` is where src/lib.rs and SECURITY.md say, and nowhere else.

set -euo pipefail

# Files with the keyword outside of comments.
with_unsafe() { { grep -rlE --include='*.rs' '^([^/]|/[^/])*\bunsafe\b' "$@" || true; } | sort; }

# nginx/ and lib.rs, and what lib.rs says has it still.
said=$(sed -n '/^\/\/! `unsafe` is in/,/others forbid/p' src/lib.rs | grep -oE '`[a-z_/]+\.rs`' | tr -d '`' | sed 's|^|src/|')
said=$(printf '%s\n' $said src/lib.rs $(with_unsafe src/nginx) | sort)
# sys.rs is nothing but an include of what is generated.
found=$({ with_unsafe src; echo src/sys.rs; } | sort -u)
diff --label "said in src/lib.rs" --label "has unsafe" -u <(echo "$said") <(echo "$found")

# The others refuse it: a module would get the leave of the one that it is in. nginx.rs would take it from its files.
for file in $(comm -13 <(echo "$said") <(find src -name '*.rs' ! -path src/nginx.rs | sort)); do
    grep -q '^#!\[forbid(unsafe_code)\]' "$file" || { echo "$file: no #![forbid(unsafe_code)]"; exit 1; }
done

others=$(with_unsafe engine/src status bits api reserve examples | grep -vE '^(api|bits|reserve|examples/(rate_limit|tokio_bridge))/' || true)
[ -z "$others" ] || { echo "unsafe where SECURITY.md says that there is none:"; echo "$others"; exit 1; }
