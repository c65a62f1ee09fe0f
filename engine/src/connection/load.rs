//! The load of a connection.

use std::time::Duration;

use super::state::{Connection, Phase};
use crate::limits::BULK;
use crate::time::Instant;

/// A connection that ends before this age counts like a failed connect.
const PROBATION: Duration = Duration::from_secs(1);
/// Unless it has answered this often.
const PROOF: u32 = 16;

impl Connection {
    /// The number of pending replies.
    pub fn load(&self) -> usize {
        self.pending.len()
    }

    /// Nothing follows the last request until it is answered.
    pub fn set_alone(&mut self) {
        self.alone = true;
    }

    /// Whether nothing may follow the requests that are pending.
    #[inline]
    pub fn is_alone(&self) -> bool {
        self.alone && !self.pending.is_empty()
    }

    /// Whether a new request on this connection waits behind a large value.
    #[inline]
    pub fn is_bulky(&self) -> bool {
        self.bulk > 0 || self.is_swamped() || self.out.len() > BULK || self.decoder.missing(self.input.len()) > BULK
    }

    /// A value has begun to come.
    pub fn value_comes(&mut self, size: usize) {
        if size > BULK && self.pending.front().is_some_and(|head| head.bulk == 0) {
            self.swamped = self.head.wrapping_add(self.pending.len() as u32);
            self.swamped_by = size as u64;
        }
    }

    /// Whether requests are pending that were sent before an unexpected large value came.
    pub fn is_swamped(&self) -> bool {
        self.swamped_left() > 0
    }

    /// The number of these requests.
    fn swamped_left(&self) -> usize {
        let left = self.swamped.wrapping_sub(self.head) as usize;
        if left <= self.pending.len() {
            left
        } else {
            0
        }
    }

    /// The order of preference among connections, the best first: not late, without large values, with fewer bytes of
    /// these, with fewer pending replies. A request that was sent with an unexpected large value counts as much as that
    /// value.
    pub fn burden(&self) -> (bool, bool, u64, usize) {
        let swamped = self.swamped_by.saturating_mul(self.swamped_left() as u64);
        (self.late, self.is_bulky(), self.bulk.saturating_add(swamped), self.load())
    }

    /// Whether it became ready a short time ago, and has answered few requests.
    pub fn is_unproven(&self, now: Instant) -> bool {
        self.answered < PROOF && self.ready_at.is_some_and(|ready_at| now.since(ready_at) < PROBATION)
    }

    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Ready && self.pending.is_empty() && self.out.len() == 0
    }
}

impl Connection {
    /// Whether the counts of [`Ahead`] agree with the FIFO.
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
