//! Memory that an operation allocates, from `submit` to its completion, in the long run.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::arithmetic_side_effects, dead_code)]

#[path = "../benches/loopback.rs"]
mod loopback;

use loopback::{hit, miss, set, Loopback, Work};

const ROUNDS: u64 = 200;
const BATCH: u32 = 64;

/// Allocations for each operation, when everything that is kept has its size.
fn per_operation(work: &Work) -> f64 {
    let mut loopback = Loopback::new();
    (0..20).for_each(|_| loopback.round(BATCH, work));
    let info = allocation_counter::measure(|| (0..ROUNDS).for_each(|_| loopback.round(BATCH, work)));
    info.count_total as f64 / (ROUNDS * u64::from(BATCH)) as f64
}

/// Replies are slices of the buffer that they were read into, so a buffer is allocated when the last one is full and
/// slices of it are still in use: for these values once in about 100 gets.
#[test]
fn a_get_allocates_nothing_of_its_own() {
    let small = per_operation(&hit(100));
    assert!(small < 0.05, "{small} allocations for a get of 100 bytes");
    let miss = per_operation(&miss());
    assert!(miss < 0.01, "{miss} allocations for a miss");
}

/// What a large value is received in is its buffer, and belongs to who has asked for it.
#[test]
fn a_large_value_has_a_buffer_of_its_own() {
    let large = per_operation(&hit(102_400));
    assert!((1.0..4.1).contains(&large), "{large} allocations for a get of 100 KiB");
}

/// The value is the caller's; its counter is all there is.
#[test]
fn a_set_allocates_nothing_of_its_own() {
    let small = per_operation(&set(100));
    assert!(small < 0.01, "{small} allocations for a set of 100 bytes");
}
