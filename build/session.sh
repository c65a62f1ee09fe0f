#!/bin/bash
# session.sh NGINX_SOURCE_DIR NGINX_BUILD_DIR OUT: compiles examples/session to OUT, as nginx's own build does, but with
# an nginx that was configured without it. $CC and $CFLAGS are yours.

set -euo pipefail

name=ngx_http_memcache_session_module
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

nginx=$(bash build/nginx-cflags.sh "$1" "$2")
mapfile -t nginx <<<"$nginx"

# What auto/module writes for a dynamic module.
cat >"$dir/modules.c" <<END
#include <ngx_config.h>
#include <ngx_core.h>

extern ngx_module_t  $name;

ngx_module_t  *ngx_modules[] = { &$name, NULL };
char          *ngx_module_names[] = { "$name", NULL };
char          *ngx_module_order[] = { "$name", "ngx_http_copy_filter_module", NULL };
END

# shellcheck disable=SC2086 # the words of $CFLAGS
${CC:-cc} ${CFLAGS:--O2 -g} -Wall -Wextra -Wno-unused-parameter -Werror -fPIC -shared -Iinclude "${nginx[@]}" \
    -o "$dir/module.so" examples/session/*.c "$dir/modules.c"
install "$dir/module.so" "$3"
