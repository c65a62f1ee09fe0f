//! How much a connection has to do.

use std::time::Duration;

use super::state::{Connection, Phase};
use crate::limits::BULK;
use crate::time::Instant;

/// A connection that ends before it is so old is a connect that was worth little.
const PROBATION: Duration = Duration::from_secs(1);
/// Unless it has answered so often.
const PROOF: u32 = 16;

impl Connection {
    /// Replies that are awaited.
    pub fn load(&self) -> usize {
        self.pending.len()
    }

    /// Whether what is put on this connection now waits behind a large value.
    #[inline]
    pub fn is_bulky(&self) -> bool {
        self.bulk > 0 || self.is_swamped() || self.out.len() > BULK || self.decoder.missing(self.input.len()) > BULK
    }

    /// A value begins to come.
    pub fn value_comes(&mut self, size: usize) {
        if size > BULK && self.pending.front().is_some_and(|head| head.bulk == 0) {
            self.swamped = self.head.wrapping_add(self.pending.len() as u32);
            self.swamped_by = size as u64;
        }
    }

    /// Whether there are requests that were put here before it was known that large values come.
    pub fn is_swamped(&self) -> bool {
        self.swamped_left() > 0
    }

    /// How many of them there are.
    fn swamped_left(&self) -> usize {
        let left = self.swamped.wrapping_sub(self.head) as usize;
        if left <= self.pending.len() {
            left
        } else {
            0
        }
    }

    /// Whether it is worse to put something on it than on others: it is late, or has more large values, or other replies,
    /// under way. What was asked for together with a large value that was not expected counts as much as that.
    pub fn burden(&self) -> (bool, bool, u64, usize) {
        let swamped = self.swamped_by.saturating_mul(self.swamped_left() as u64);
        (self.late, self.is_bulky(), self.bulk.saturating_add(swamped), self.load())
    }

    /// Whether it has become ready only now, and has not answered often.
    pub fn is_unproven(&self, now: Instant) -> bool {
        self.answered < PROOF && self.ready_at.is_some_and(|ready_at| now.since(ready_at) < PROBATION)
    }

    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Ready && self.pending.is_empty() && self.out.len() == 0
    }
}

impl Connection {
    /// Whether what is under way is what was counted.
    pub fn check_ahead(&self) -> Result<(), String> {
        let asked = self.pending.iter().filter(|request| request.len > 0 && request.expect.takes_value());
        let counted = asked.fold((0u64, 0u64, 0u64), |(values, large, given_up), request| {
            let nobody = u64::from(request.call.is_none());
            (values.saturating_add(1), large.saturating_add(request.bulk.into()), given_up.saturating_add(nobody))
        });
        if counted == self.ahead.counted() {
            return Ok(());
        }
        Err(format!("{counted:?} are under way; counted are {:?}", self.ahead))
    }
}
