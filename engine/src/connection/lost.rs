//! What a connection leaves behind.

use super::state::Connection;
use crate::id::CallId;

/// A request that a lost connection leaves without a reply.
#[derive(Debug)]
pub(crate) struct LostRequest {
    pub call: CallId,
    /// Whether a byte of it was written.
    pub started: bool,
    /// Whether its reply was the one that was due.
    pub due: bool,
}

impl Connection {
    /// Takes the operations that are left, in their order.
    pub fn lost_requests(&mut self) -> impl Iterator<Item = LostRequest> + '_ {
        let (sent, written, mut start) = (self.sent, self.written, self.sent_end);
        self.pending.drain(..).enumerate().filter_map(move |(index, pending)| {
            // What is not encoded begins where the last one that is ends.
            let started = index < sent || start < written;
            if index >= sent {
                start = start.saturating_add(pending.len.into());
            }
            pending.call.map(|call| LostRequest { call, started, due: index == 0 })
        })
    }
}
