#!/bin/bash
# nginx-suite.sh SUITE DIR: nginx of another suite of Debian: the program DIR/nginx, which runs here with the libraries of
# that suite, and its headers, in DIR/dev/usr/share/nginx/src, configured in DIR/objs.

set -euo pipefail

suite=$1
dir=$(realpath -m "$2")

bash build/deps.sh patchelf dpkg-dev
bash build/suite.sh "$suite" "$dir/root" nginx
bash build/suite.sh "$suite" "$dir/dev" --alone nginx-dev
bash build/nginx-headers.sh "$dir/objs" "$dir/dev"

# As if it were one of this machine: the tests want the name of a program, and nginx executes itself for an upgrade.
loader=$(find "$dir/root" -name 'ld-linux*.so.*' -type f | head -n 1)
libraries=$(find "$dir/root" -name '*.so.*' -path '*/lib/*' -printf '%h\n' | sort -u | paste -sd :)
cp "$dir/root/usr/sbin/nginx" "$dir/nginx.new"
patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$dir/nginx.new"
mv "$dir/nginx.new" "$dir/nginx"
