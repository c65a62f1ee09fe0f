//! How a worker works.

use std::time::Duration;

use fastrand::Rng;

/// How the worker works.
#[derive(Clone, Debug)]
pub struct Habits {
    /// A turn of the event loop takes up to so many microseconds.
    pub turn: u64,
    /// Completions that are handed out in a turn.
    pub budget: usize,
    /// Slices that a write takes.
    pub slices: usize,
    /// The most bytes of one read.
    pub read: usize,
    /// Sockets that the worker may have; beyond, there are no resources.
    pub sockets: usize,
}

impl Habits {
    /// The longest turn, unless the worker gets no time.
    pub const LONGEST_TURN: Duration = Duration::from_millis(2);

    pub fn calm() -> Self {
        Habits { turn: 0, budget: usize::MAX, slices: 16, read: usize::MAX, sockets: usize::MAX }
    }

    pub fn random(rng: &mut Rng) -> Self {
        let choose = |rng: &mut Rng, of: &[usize]| of[rng.usize(..of.len())];
        Habits {
            turn: choose(rng, &[0, 20, 200, 2_000]) as u64,
            budget: choose(rng, &[1, 5, usize::MAX, usize::MAX]),
            slices: choose(rng, &[1, 2, 16, 64]),
            read: choose(rng, &[1, 100, usize::MAX, usize::MAX]),
            sockets: usize::MAX,
        }
    }
}
