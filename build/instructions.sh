#!/bin/bash
# instructions.sh [BYTES]: the instructions that a get of so many bytes takes in the client, by callgrind, and where.
#
# Counted are submit, transmit and written, received, poll_completion and next_timeout, and the copying of bytes to and
# from the small server, which stands for the kernel's. Two runs of different length are compared, so that what is done
# once does not count.

set -euo pipefail
cd "$(dirname "$0")/.."

bytes=${1:-100}
few=6400
many=32000
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

CARGO_PROFILE_RELEASE_DEBUG=true cargo build -q --release -p memcache-engine --example gets
program=${CARGO_TARGET_DIR:-target}/release/examples/gets

count() {
    valgrind --tool=callgrind --callgrind-out-file="$out/$1" --collect-atstart=no \
        --toggle-collect='*Loopback::submit*' --toggle-collect='*Loopback::transmit*' \
        --toggle-collect='*Loopback::receive*' --toggle-collect='*Loopback::complete*' \
        "$program" "$1" "$bytes" 2>"$out/log" || { cat "$out/log" >&2; exit 1; }
    awk '/^summary:|^totals:/ { print $2; exit }' "$out/$1"
}

first=$(count $few)
second=$(count $many)
echo "instructions per get of $bytes bytes: $(( (second - first) / (many - few) ))"
# A function is listed once for each file whose code was inlined into it.
callgrind_annotate --tree=none --auto=no --threshold=100 "$out/$many" | awk -v gets="$many" '
    /^ *[0-9,]+ \([ 0-9.]+%\)  / && !/PROGRAM TOTALS/ {
        n = $1; gsub(",", "", n)
        sub(/^ *[0-9,]+ \([ 0-9.]+%\)  [^ ]*:/, ""); sub(/ \[[^]]*\]$/, ""); sub(/^memcache_engine::/, "")
        sum[$0] += n
    }
    END { for (f in sum) if (sum[f] / gets >= 10) printf "%8.0f  %s\n", sum[f] / gets, substr(f, 1, 150) }
' | sort -rn | head -20
