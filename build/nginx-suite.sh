#!/bin/bash
# nginx-suite.sh SUITE DIR: nginx of another suite of Debian: the program DIR/nginx, which runs here with the libraries of
# that suite, and its headers, in DIR/dev/usr/share/nginx/src, configured in DIR/objs.

set -euo pipefail

suite=$1
dir=$(realpath -m "$2")

bash build/suite.sh "$suite" "$dir/root" nginx
bash build/suite.sh "$suite" "$dir/dev" --alone nginx-dev
bash build/nginx-headers.sh "$dir/objs" "$dir/dev"

# The tests want the name of a program.
cat >"$dir/nginx" <<'END'
#!/bin/sh
exec "$(dirname "$0")/root/run" nginx "$@"
END
chmod 755 "$dir/nginx"
