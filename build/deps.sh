#!/bin/bash
# deps.sh PACKAGE...: installs those of the Debian packages that are missing; touches nothing, and needs neither network
# nor rights, when none is.

set -euo pipefail

if ! command -v dpkg-query >/dev/null; then
    echo "deps: this is not Debian; make sure you have what its packages hold: $*" >&2
    exit 0
fi

missing=()
for package in "$@"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null || { echo "deps: as root, run: apt-get install ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
fi

# The programs are wanted, not services of this machine: while this file is there Debian starts none that it installs.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
fi

install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
    apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 "${missing[@]}")

echo "deps: installing ${missing[*]}"
# The lists of packages may be missing or old: then the first try fails.
"${install[@]}" </dev/null || {
    "${as_root[@]}" apt-get update -q </dev/null
    "${install[@]}" </dev/null
}
