#!/bin/bash
# suite.sh SUITE DIR [--alone] PACKAGE...: the packages of another suite of Debian, and all that they depend on, unpacked
# into DIR; nothing is installed. DIR/run PROGRAM [ARGUMENT...] runs a program of it with the libraries of that suite.
# With --alone it is the packages without what they depend on: headers, say.
#
# A suite is bullseye, trixie, sid, or another that the mirror has from which this machine installs. What is in DIR
# already stays as it is: remove it to get what the suite has today.

set -euo pipefail

suite=$1 dir=$(realpath -m "$2")
shift 2
get=(--download-only -y install)
if [[ $1 == --alone ]]; then
    get=(download)
    shift
fi
[[ -e $dir/run ]] && exit 0

mirror=$(bash "$(dirname "$0")/mirror.sh")

new=$dir.new
rm -rf "$new"
mkdir -p "$new"/apt/{lists,cache}/partial
trap 'rm -rf "$new"' EXIT
: >"$new/apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$new/apt/sources"

# A root of its own for apt, in which no package is installed: what it would install there is all that is needed.
options=(-q=2 -o Dir::State="$new/apt" -o Dir::State::status="$new/apt/status" -o Dir::State::lists="$new/apt/lists"
    -o Dir::Cache="$new/apt/cache" -o Dir::Cache::archives="$new/apt/cache" -o Dir::Etc::sourcelist="$new/apt/sources"
    -o Dir::Etc::sourceparts=- -o Dir::Etc::preferencesparts=- -o Dir::Etc::preferences=-
    -o APT::Sandbox::User="$(id -un)" -o APT::Install-Recommends=false -o Acquire::Languages=none
    -o Acquire::Retries=3 -o Debug::NoLocking=true)

echo "suite: $* of $suite, from $mirror"
apt-get "${options[@]}" update
(cd "$new/apt/cache" && apt-get "${options[@]}" "${get[@]}" "$@") </dev/null >"$new/apt/log" 2>&1 ||
    { cat "$new/apt/log" >&2; exit 1; }
for package in "$new"/apt/cache/*.deb; do
    dpkg-deb --extract "$package" "$new"
done
rm -rf "$new/apt"

# The suite's own loader, as its libraries need not go with the ones of this machine.
cat >"$new/run" <<'END'
#!/bin/bash
dir=$(dirname "$(readlink -f "$0")") program=$1
shift
for place in "$dir"/{usr/sbin,usr/bin,sbin,bin}; do
    [[ -x $place/$program ]] && program=$place/$program && break
done
# Not the link in lib64/, which may be one to the loader of this machine.
loader=$(ls "$dir"/{,usr/}lib/*-linux-gnu*/ld-linux-*.so.* 2>/dev/null | head -n 1)
libraries=$(ls -d "$dir"/{,usr/}lib/*-linux-gnu* 2>/dev/null | paste -sd:)
exec "$loader" --library-path "$libraries" "$program" "$@"
END
chmod 755 "$new/run"
rm -rf "$dir"
mv "$new" "$dir"
trap - EXIT
