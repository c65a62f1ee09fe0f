//! The requests of a lost connection.

use super::state::Connection;
use crate::id::CallId;

/// A request without a reply on a lost connection.
#[derive(Debug)]
pub(crate) struct LostRequest {
    pub call: CallId,
    /// Whether a byte of it was written.
    pub started: bool,
    /// Whether its reply was the next one.
    pub due: bool,
}

impl Connection {
    /// Takes the operations that are left, in order.
    pub fn lost_requests(&mut self) -> impl Iterator<Item = LostRequest> + '_ {
        let (sent, written, mut start) = (self.sent, self.written, self.sent_end);
        self.pending.drain(..).enumerate().filter_map(move |(index, pending)| {
            // The first request that is not encoded begins at the end of the last one that is.
            let started = index < sent || start < written;
            if index >= sent {
                start = start.saturating_add(pending.len.into());
            }
            pending.call.map(|call| LostRequest { call, started, due: index == 0 })
        })
    }
}
