#!/bin/bash
# crate-peer.sh: builds t/peers/memcache_crate, unless this Rust is too old for the crate memcache, which wants a newer
# one than everything else: then the tests that compare with it say so, and skip that.

set -euo pipefail

needs=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' t/peers/memcache_crate/Cargo.toml)
rust=$(rustc -vV | sed -n 's/^release: //p')
if printf '%s\n' "$needs" "$rust" | sort -VC; then
    cargo build -p memcache-crate-peer
else
    echo "crate-peer: the crate memcache needs Rust $needs, and this is $rust: the tests do without it"
fi
