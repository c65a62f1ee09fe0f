#!/bin/bash
# valgrind.sh NGINX COMMAND...: runs the tests with nginx under valgrind, then shows what valgrind found, and fails when
# that is anything. Tests that fail are shown only: nginx is some twenty times slower there, and time is part of many.

set -euo pipefail

export VALGRIND_NGINX=$1
export VALGRIND_LOGS=$PWD/target/valgrind
shift

rm -rf "$VALGRIND_LOGS"
mkdir -p "$VALGRIND_LOGS"

tests=0
"$@" || tests=$?

# Valgrind is told to be quiet: what it writes are errors.
mapfile -t found < <(find "$VALGRIND_LOGS" -type f -size +0)
processes=$(find "$VALGRIND_LOGS" -type f | wc -l)
((${#found[@]} == 0)) || cat "${found[@]}"

echo "valgrind: $processes processes, ${#found[@]} with errors; the tests ended with status $tests; see $VALGRIND_LOGS"
((processes > 0 && ${#found[@]} == 0))
