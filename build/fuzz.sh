#!/bin/bash
# fuzz.sh SECONDS TARGET...: fuzzes each target for so long, from its seeds and what earlier runs have found. Stops at the
# first input that breaks something; it is in fuzz/artifacts/ then.

set -euo pipefail
cd "$(dirname "$0")/.."

seconds=$1
shift

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "fuzz: needs nightly Rust: rustup toolchain install nightly --profile minimal" >&2
    exit 1
fi
if ! command -v c++ >/dev/null; then
    echo "fuzz: needs a C++ compiler, of which libFuzzer is made: apt-get install g++" >&2
    exit 1
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: installing cargo-fuzz"
    cargo install cargo-fuzz --locked
fi

for target in "$@"; do
    [[ -f fuzz/fuzz_targets/$target.rs ]] || { echo "fuzz: there is no target $target" >&2; exit 1; }
    echo "fuzz: $target, $seconds s"
    mkdir -p "fuzz/corpus/$target"
    # No single allocation needs more than a few of the largest values that the targets configure.
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -max_len=1000 -timeout=10 -malloc_limit_mb=16 -rss_limit_mb=2048 \
        -dict=fuzz/commands.dict -print_final_stats=1
done
