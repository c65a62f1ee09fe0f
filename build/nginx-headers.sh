#!/bin/bash
# nginx-headers.sh DIR [ROOT]: configures the headers of Debian's package nginx-dev into DIR, where building a module needs
# them. Nothing is compiled. Done again only when the package has changed. The package is the installed one, or the one
# that build/suite.sh has unpacked into ROOT.

set -euo pipefail

dir=$(realpath -m "$1")
root=${2:+$(realpath "$2")}
source=$root/usr/share/nginx/src
if [[ $root ]]; then
    version=$(sed -n 's/^#define NGINX_VERSION *"\(.*\)"/\1/p' "$source/src/core/nginx.h")
else
    version=$(dpkg-query -W -f '${Version}' nginx-dev)
fi

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
