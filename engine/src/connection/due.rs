//! The deadlines of replies.

use super::state::Connection;
use crate::id::CallId;
use crate::operation::key::Key;
use crate::protocol::expect::Expect;
use crate::time::Instant;

impl Connection {
    /// The operation with this number gives up. True if its request is encoded: its reply stays pending until
    /// `overdue`, and the server may carry the request out. False if the request will not be sent. `key`: the
    /// operation's key, which its reply may have to be compared with.
    pub fn abandon(&mut self, number: u32, key: Option<&Key>, overdue: Instant) -> bool {
        let index = self.index(number);
        let Some(pending) = self.pending.get_mut(index) else { return false };
        let had = pending.call.take();
        pending.overdue.get_or_insert(overdue);
        if index < self.encoded {
            if self.dialect.needs_key(pending.expect) {
                pending.key = key.cloned().map(Box::new);
            }
            if had.is_some() && pending.len > 0 {
                self.ahead.gave_up(pending.expect);
            }
            return true;
        }
        pending.expect = Expect::Nothing;
        self.bulk = self.bulk.saturating_sub(std::mem::take(&mut pending.bulk).into());
        self.drop_unsent();
        // It needs no place, either, unless a request is behind it.
        while self.pending.len() > self.encoded && self.pending.back().is_some_and(|p| p.expect == Expect::Nothing) {
            self.pending.pop_back();
        }
        false
    }

    /// Gives the reply of the request with this number to another operation. It stays pending until `overdue`, or until
    /// the time that an earlier call has set. True if there was no earlier one.
    pub fn reassign(&mut self, number: u32, call: CallId, overdue: Instant) -> bool {
        let index = self.index(number);
        let Some(pending) = self.pending.get_mut(index) else { return false };
        pending.call = Some(call);
        pending.overdue.replace(pending.overdue.unwrap_or(overdue)).is_none()
    }

    /// Whether the request with this number has no reply yet.
    pub fn awaits(&self, number: u32) -> bool {
        self.index(number) < self.pending.len()
    }

    /// Bytes of the next reply have come: the connection works, even if the reply takes long.
    pub fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.late = false;
    }

    /// The time when bytes of the current exchange last moved.
    pub fn moved_at(&self) -> Instant {
        self.heard_at.max(self.wrote_at)
    }

    /// Whether the next reply is overdue.
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.pending.front().is_some_and(|p| p.overdue.is_some_and(|at| at <= now))
    }
}
