//! A client's connections, and what it wants to happen.

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

/// What the servers of a client use together. Each part keeps its own rules; there are none between them.
#[derive(Debug)]
pub(crate) struct Network {
    pub connections: Connections,
    /// What the driver has to do, in this order.
    pub outputs: VecDeque<Output>,
    pub timers: Timers<Timer>,
    /// Tokens and jitter.
    pub rng: fastrand::Rng,
    pub writes: Writes,
    pub spare_buffers: SpareBuffers,
    pub spare_values: SpareValues,
    /// Whether a timer looks at them.
    watches_spare_values: bool,
    /// The worker is about to exit: what is idle closes, and nothing is opened ahead of need.
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

    /// A value of this size has come. Where its memory is kept for the next, a timer sees whether there is a next.
    pub fn value_came(&mut self, size: usize, now: Instant) {
        if SpareValues::keeps(size) && !self.watches_spare_values {
            self.watch_spare_values(true, now);
        }
    }

    /// That timer.
    pub fn age_spare_values(&mut self, now: Instant) {
        // What a worker that exits has goes with it.
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
