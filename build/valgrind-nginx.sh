#!/bin/bash
# valgrind-nginx.sh ARGUMENTS: nginx under valgrind, for the tests as if it were nginx. $VALGRIND_NGINX is the program;
# each process (nginx forks its workers, it does not exec them) writes what was found into $VALGRIND_LOGS/PID.

set -euo pipefail

# Only says how it was built.
case $* in -[vV]) exec "$VALGRIND_NGINX" "$@" ;; esac

exec valgrind --quiet --tool=memcheck --log-file="$VALGRIND_LOGS/%p" --num-callers=40 \
    --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
    --suppressions="$(dirname "$(realpath "$0")")/valgrind.supp" "$VALGRIND_NGINX" "$@"
