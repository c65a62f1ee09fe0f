#!/bin/bash
# check-header.sh NGINX_SOURCE_DIR NGINX_BUILD_DIR: compiles the header alone, as the C and the C++ of a strict sibling.

set -euo pipefail

nginx=$(bash build/nginx-cflags.sh "$1" "$2")
mapfile -t nginx <<<"$nginx"

for compiler in "gcc -x c -std=c99" "g++ -x c++ -std=c++17"; do
    echo "$compiler include/ngx_http_memcache.h"
    # shellcheck disable=SC2086 # the words of $compiler
    $compiler -Wall -Wextra -Werror -fsyntax-only -Iinclude "${nginx[@]}" - <<<'#include <ngx_http_memcache.h>'
done
