#!/bin/bash
# nginx-cflags.sh NGINX_SOURCE_DIR NGINX_BUILD_DIR: prints what a C compiler has to be told to find nginx's headers and
# to read them as nginx does, an option a line. It is in the Makefile that nginx's "configure" wrote, and depends on the
# options of that: with HTTP/3 there is one folder more. nginx-sys takes the same for siblings in Rust.

set -euo pipefail

source=$(realpath "$1") build=$(realpath "$2")
makefile=$build/Makefile
[[ -e $makefile ]] || { echo "nginx-cflags: no $makefile: nginx was not configured there" >&2; exit 1; }

# Both variables, with the lines that they go on for. xargs takes quotes away as a shell does.
options=$(sed -n ':more; /\\$/ { N; s/\\\n/ /; b more }; s/^\(ALL_INCS\|CFLAGS\) *=//p' "$makefile" | xargs printf '%s\n')
grep -q '^-I' <<<"$options" || { echo "nginx-cflags: there is no ALL_INCS in $makefile" >&2; exit 1; }

folder() {
    [[ $1 == /* ]] || set -- "$source/$1"
    printf '%s\n' -isystem "$1"
}

folder "$build"
while read -r option; do
    case $option in
        -I) read -r option; folder "$option" ;;
        -I*) folder "${option#-I}" ;;
        -D) read -r option; printf '%s\n' "-D$option" ;;
        -D*) printf '%s\n' "$option" ;;
    esac
done <<<"$options"
