//! `gets N [SIZE]`: N gets in rounds of 64, without I/O, for `make instructions-engine`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::arithmetic_side_effects, dead_code)]

#[path = "../benches/loopback.rs"]
mod loopback;

fn main() {
    let args: Vec<usize> = std::env::args().skip(1).map(|arg| arg.parse().expect("a number")).collect();
    let (count, size) = (args[0], args.get(1).copied().unwrap_or(100));
    let mut loopback = loopback::Loopback::new();
    let work = loopback::hit(size);
    for _ in 0..count.div_ceil(64) {
        loopback.round(64, &work);
    }
}
