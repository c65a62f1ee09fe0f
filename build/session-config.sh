#!/bin/bash
# session-config.sh NGINX_SOURCE_DIR OUT [--static]: builds examples/session by its script "config", as
# "configure --add-dynamic-module" does, to OUT, a module; or as --add-module does, to OUT, an nginx.

set -euo pipefail

out=$(realpath -m "$2")
module=$(realpath examples/session)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

how=--add-dynamic-module what=modules file=ngx_http_memcache_session_module.so
if [[ ${3:-} == --static ]]; then
    how=--add-module what= file=nginx
fi

# In a copy: nginx's Makefile compiles where the source is.
cp -r "$1/auto" "$1/src" "$1/conf" "$dir"
cd "$dir"
{
    bash ./auto/configure --with-compat --with-threads --with-debug --with-http_ssl_module --with-http_v2_module \
        --with-http_v3_module --with-http_realip_module --with-http_auth_request_module \
        --with-http_stub_status_module "$how=$module" &&
        env -u MAKEFLAGS make -f objs/Makefile -j "$(nproc)" ${what:+"$what"}
} >build.log 2>&1 || { tail -n 20 build.log >&2; exit 1; }
install "objs/$file" "$out"
