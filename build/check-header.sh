#!/bin/bash
# check-header.sh NGINX_SOURCE_DIR NGINX_BUILD_DIR: compiles the header alone, as the C and the C++ of a strict sibling.

set -euo pipefail

nginx=(-isystem "$2")
for dir in core event event/modules event/quic os/unix http http/modules http/v2; do
    nginx+=(-isystem "$1/src/$dir")
done

for compiler in "gcc -x c -std=c99" "g++ -x c++ -std=c++17"; do
    echo "$compiler include/ngx_http_memcache.h"
    # shellcheck disable=SC2086 # the words of $compiler
    $compiler -Wall -Wextra -Werror -fsyntax-only -Iinclude "${nginx[@]}" - <<<'#include <ngx_http_memcache.h>'
done
