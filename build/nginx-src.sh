#!/bin/bash
# nginx-src.sh CRATE_VERSION DIR [C compiler options [linker options]]: builds nginx into DIR/objs from the source that
# crates.io's crate "nginx-src" carries. Done once: a DIR that is complete is left alone.

set -euo pipefail

crate_version=$1
dir=$(realpath -m "$2")
cc_opt=${3:--O2 -g}
ld_opt=${4:-}

[[ -e $dir/.complete ]] && exit 0

rm -rf "$dir"
mkdir -p "$dir/crate"

# Cargo verifies and unpacks a crate only for a package that depends on it.
cat >"$dir/crate/Cargo.toml" <<EOF
[workspace]

[package]
name = "nginx-source"
version = "0.0.0"
edition = "2021"

[lib]
path = "/dev/null"

[dependencies]
nginx-src = "=$crate_version"
EOF
host=$(rustc -vV | sed -n 's/^host: //p')
metadata=$(cargo metadata --manifest-path "$dir/crate/Cargo.toml" --format-version 1 --filter-platform "$host")
crate=$(grep -o '"manifest_path":"[^"]*/nginx-src-[^"]*/Cargo.toml"' <<<"$metadata" | cut -d '"' -f 4)
cp -r "$(dirname "$crate")/nginx/." "$dir"

echo "nginx-src: building nginx $(sed -n 's/^#define NGINX_VERSION *"\(.*\)"/\1/p' "$dir/src/core/nginx.h") in $dir"
cd "$dir"
{
    bash ./auto/configure --prefix="$dir/prefix" --builddir="$dir/objs" --with-cc-opt="$cc_opt" \
        --with-ld-opt="$ld_opt" --with-compat --with-threads --with-debug --with-http_ssl_module --with-http_v2_module \
        --with-http_v3_module --with-http_realip_module --with-http_auth_request_module \
        --with-http_stub_status_module &&
        env -u MAKEFLAGS make -j "$(nproc)"
} >build.log 2>&1 || { tail -n 20 build.log >&2; exit 1; }

touch .complete
