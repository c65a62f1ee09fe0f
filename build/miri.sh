#!/bin/bash
# miri.sh: runs the unit tests of the crates without nginx in Miri, which sees what is undefined, also where it does no
# harm yet. Only nightly Rust has it; without it the tests are skipped.

set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "miri: skipped: needs rustup toolchain install nightly --profile minimal --component miri,rust-src"
    exit 0
fi

# A folder of its own: its sysroot and its targets are others. Miri is some thousand times slower than the processor, so
# there are few cases of each property.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/miri
mkdir -p "$CARGO_TARGET_DIR"
export PROPTEST_CASES=${PROPTEST_CASES:-2}
export MIRIFLAGS="${MIRIFLAGS:-} -Zmiri-disable-isolation"

run() {
    echo "miri: $*"
    cargo +nightly miri test -q --lib "$@" | tee "$CARGO_TARGET_DIR/log"
    # A filter of a module that has moved finds nothing, and nothing passes.
    ! grep -q '^running 0 tests' "$CARGO_TARGET_DIR/log" || { echo "miri: no such tests: $*" >&2; exit 1; }
}

run -p memcache-reserve
run -p ngx-memcache
# The engine has no unsafe code; what is left to see is its use of buffers of others.
for module in operation::key protocol::meta::encode protocol::outbound; do
    run -p memcache-engine -- "$module"
done
