#!/bin/bash
# check-size.sh: whether no file of code or of tests has more than 400 lines.

set -euo pipefail
cd "$(dirname "$0")/.."

limit=400
# Siblings of others copy this one file, so it stays one; most of it is documentation. Its code is what counts.
header=./include/ngx_http_memcache.h

long=$(find . \( -name target -o -name .git \) -prune -o -type f \
    \( -name '*.rs' -o -name '*.[ch]' -o -name '*.t' -o -name '*.p[lmy]' -o -name '*.sh' -o -name '*.js' \
    -o -name '*.css' -o -name '*.html' -o -name '*.php' -o -name Makefile -o -path './.ci/*' \) \
    ! -path $header -exec awk -v limit=$limit 'FNR == limit + 1 { print FILENAME }' {} + | sort)
code=$(gcc -fpreprocessed -dD -E -P $header | grep -c .)

[ -z "$long" ] || { echo "more than $limit lines:"; echo "$long"; exit 1; }
[ "$code" -le $limit ] || { echo "$header: $code lines of code, more than $limit"; exit 1; }
