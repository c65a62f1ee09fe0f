#!/bin/bash
# asan.sh COMMAND...: runs the tests with an nginx, modules and siblings that were built with AddressSanitizer, which
# the command knows. What it finds is in the error log of a test, and makes the test fail.
#
# First it is proved that it would be found: t/canary.pl uses memory after its end in nginx, in the module, and in a
# sibling in C, and leaks some, and has to fail each time, with a report about just that place.

set -euo pipefail

here=$(dirname "$(realpath "$0")")

# Every module of nginx has a variable "ngx_modules", by design: no violation. LEAKS=0 is for where a process must not
# look at its own threads with ptrace when it exits.
ASAN_OPTIONS=detect_odr_violation=0:detect_leaks=${LEAKS:-1}:detect_stack_use_after_return=1:handle_abort=1
export ASAN_OPTIONS
export LSAN_OPTIONS=suppressions=$here/lsan.supp:print_suppressions=0
# The new binary of USR2 has only those variables that the old one's configuration names.
export TEST_NGINX_GLOBALS="${TEST_NGINX_GLOBALS:-}env ASAN_OPTIONS; env LSAN_OPTIONS;"$'\n'
export TEST_NGINX_SIBLING_CFLAGS="-fsanitize=address -fno-omit-frame-pointer"
export CFLAGS="-O1 -g $TEST_NGINX_SIBLING_CFLAGS"

places=(nginx module sibling)
[[ ${LEAKS:-1} == 0 ]] || places+=(leak)
for place in "${places[@]}"; do
    said=$(CANARY=$place "$@" T=t/canary.pl JOBS=1 2>&1) && failed=0 || failed=1
    if ((!failed)) || ! grep -q "Failed test 'no sanitizer errors'" <<<"$said" ||
        ! grep -Eq "canary in $place: (heap-use-after-free|detected)" <<<"$said"; then
        echo "$said"
        echo "asan: nothing told of the canary ($place), so nothing else would be found either" >&2
        exit 1
    fi
    echo "asan: the canary ($place) was found"
done

"$@"
