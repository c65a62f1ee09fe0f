#!/bin/bash
# nginx-headers.sh DIR: configures the headers of Debian's package nginx-dev into DIR, where building a module needs
# them. Nothing is compiled. Done again only when the package has changed.

set -euo pipefail

dir=$(realpath -m "$1")
source=/usr/share/nginx/src
version=$(dpkg-query -W -f '${Version}' nginx-dev)

[[ $version == "$(cat "$dir/.nginx-dev" 2>/dev/null)" ]] && exit 0

echo "nginx-headers: configuring nginx-dev $version in $dir"
rm -rf "$dir"
mkdir -p "$dir"

# The package's own configure options, so that the module's signature is that of Debian's nginx.
cd "$source"
. ./conf_flags
./configure "${NGX_CONF_FLAGS[@]}" --builddir="$dir" \
    --with-cc-opt="$(dpkg-buildflags --get CFLAGS) -fPIC $(dpkg-buildflags --get CPPFLAGS)" \
    --with-ld-opt="$(dpkg-buildflags --get LDFLAGS) -fPIC" >"$dir/configure.log" 2>&1 ||
    { tail -n 20 "$dir/configure.log" >&2; exit 1; }

echo "$version" >"$dir/.nginx-dev"
