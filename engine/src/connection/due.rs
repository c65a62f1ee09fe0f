//! Until when replies are waited for.

use super::state::Connection;
use crate::id::CallId;
use crate::operation::key::Key;
use crate::protocol::expect::Expect;
use crate::time::Instant;

impl Connection {
    /// The operation with this number gives up. True if its request is written, or in part, or about to be: then its
    /// reply is awaited until `overdue`, and the server carries it out. False if nothing is left of it. `key`: that of the
    /// operation, which the reply may have to be compared with.
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
        // It takes no place, either, unless something is behind it.
        while self.pending.len() > self.encoded && self.pending.back().is_some_and(|p| p.expect == Expect::Nothing) {
            self.pending.pop_back();
        }
        false
    }

    /// The reply to the request with this number is another operation's from now on, and is awaited until `overdue`,
    /// unless that was said before. True if it was not.
    pub fn reassign(&mut self, number: u32, call: CallId, overdue: Instant) -> bool {
        let index = self.index(number);
        let Some(pending) = self.pending.get_mut(index) else { return false };
        pending.call = Some(call);
        pending.overdue.replace(pending.overdue.unwrap_or(overdue)).is_none()
    }

    /// Whether the request with this number still waits for its reply.
    pub fn awaits(&self, number: u32) -> bool {
        self.index(number) < self.pending.len()
    }

    /// Bytes of the reply that is due have come: however long it takes, the connection works.
    pub fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.late = false;
    }

    /// When bytes of the exchange that is due have moved last.
    pub fn moved_at(&self) -> Instant {
        self.heard_at.max(self.wrote_at)
    }

    /// Whether the reply that has to come next should have been here.
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.pending.front().is_some_and(|p| p.overdue.is_some_and(|at| at <= now))
    }
}
