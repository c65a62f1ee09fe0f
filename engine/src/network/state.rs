//! The structure that the servers of a client share.

use std::collections::VecDeque;

use slotmap::SlotMap;

use super::buffers::SpareBuffers;
use super::connections::Connections;
use super::output::Output;
use super::timer::Timer;
use super::writes::Writes;
use crate::connection::SpareValues;
use crate::limits::SPARE_TIME;
use crate::time::Instant;
use crate::timers::Timers;

/// What the servers of a client share. Its parts are independent of each other.
#[derive(Debug)]
pub(crate) struct Network {
    pub connections: Connections,
    /// Tasks for the driver, in order.
    pub outputs: VecDeque<Output>,
    pub timers: Timers<Timer>,
    /// The source of tokens and jitter.
    pub rng: fastrand::Rng,
    pub writes: Writes,
    pub spare_buffers: SpareBuffers,
    pub spare_values: SpareValues,
    /// Whether a timer for spare memory of values is set.
    watches_spare_values: bool,
    /// The worker is about to exit: idle connections close, and none is opened ahead of need.
    pub draining: bool,
}

impl Network {
    /// `seed` decides tokens and jitter.
    pub fn new(seed: u64) -> Self {
        Network {
            connections: SlotMap::with_key(),
            outputs: VecDeque::new(),
            timers: Timers::new(),
            rng: fastrand::Rng::with_seed(seed),
            writes: Writes::default(),
            spare_buffers: SpareBuffers::default(),
            spare_values: SpareValues::default(),
            watches_spare_values: false,
            draining: false,
        }
    }

    /// A value of this size has come. If its memory is kept for the next value, a timer frees it when there is none.
    pub fn value_came(&mut self, size: usize, now: Instant) {
        if SpareValues::keeps(size) && !self.watches_spare_values {
            self.watch_spare_values(true, now);
        }
    }

    /// The timer of [`value_came`](Network::value_came).
    pub fn age_spare_values(&mut self, now: Instant) {
        // The memory of a worker that exits is freed with it.
        let some_left = self.spare_values.age() && !self.draining;
        self.watch_spare_values(some_left, now);
    }

    fn watch_spare_values(&mut self, watch: bool, now: Instant) {
        self.watches_spare_values = watch;
        if watch {
            self.timers.insert(now.after(SPARE_TIME), Timer::SpareValues);
        }
    }
}
