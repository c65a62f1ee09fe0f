//! How much a connection has to do.

use super::{Connection, Phase, PROBATION, PROOF};
use crate::time::Instant;
use crate::BULK;

impl Connection {
    /// Replies that are awaited.
    pub fn load(&self) -> usize {
        self.pending.len()
    }

    /// Whether what is put on this connection now waits behind a large value.
    #[inline]
    pub fn is_bulky(&self) -> bool {
        self.bulk > 0 || self.out.len() > BULK || self.decoder.missing(self.input.len()) > BULK
    }

    /// Whether it is worse to put something on it than on others: it is late, or has more large values, or other replies,
    /// under way.
    pub fn burden(&self) -> (bool, bool, u64, usize) {
        (self.late, self.is_bulky(), self.bulk, self.load())
    }

    /// Whether it has become ready only now, and has not answered often.
    pub fn is_unproven(&self, now: Instant) -> bool {
        self.answered < PROOF && self.ready_at.is_some_and(|ready_at| now.since(ready_at) < PROBATION)
    }

    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Ready && self.pending.is_empty() && self.out.len() == 0
    }
}
