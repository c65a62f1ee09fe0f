#!/bin/bash
# valgrind.sh NGINX COMMAND...: runs the tests with nginx under valgrind, then shows what valgrind found, and fails when
# that is anything, or when a test fails. What depends on how fast nginx is has no place in a test: it is some twenty
# times slower there.
#
# First it is proved that it would be found, by t/canary.pl, as in asan.sh.

set -euo pipefail

export VALGRIND_NGINX=$1
export VALGRIND_LOGS=$PWD/target/valgrind
shift

# What valgrind says of the canary in each place.
declare -A says=(
    [nginx]='at 0x[0-9A-F]+: ngx_hash_key '
    [module]='check<.*\(sized\.rs:'
    [sibling]='at 0x[0-9A-F]+: in_sibling '
    [leak]='1,000 bytes in 1 blocks are definitely lost'
)

run() {
    rm -rf "$VALGRIND_LOGS"
    mkdir -p "$VALGRIND_LOGS"
    "$@"
}

for place in "${!says[@]}"; do
    said=$(CANARY=$place run "$@" T=t/canary.pl JOBS=1 2>&1) && failed=0 || failed=1
    if ((failed)) || ! grep -Erq "${says[$place]}" "$VALGRIND_LOGS"; then
        echo "$said"
        echo "valgrind: nothing told of the canary ($place), so nothing else would be found either" >&2
        exit 1
    fi
    echo "valgrind: the canary ($place) was found"
done

tests=0
run "$@" || tests=$?

# Valgrind is told to be quiet: what it writes are errors.
mapfile -t found < <(find "$VALGRIND_LOGS" -type f -size +0)
processes=$(find "$VALGRIND_LOGS" -type f | wc -l)
((${#found[@]} == 0)) || cat "${found[@]}"

echo "valgrind: $processes processes, ${#found[@]} with errors; the tests ended with status $tests; see $VALGRIND_LOGS"
((processes > 0 && ${#found[@]} == 0 && tests == 0))
