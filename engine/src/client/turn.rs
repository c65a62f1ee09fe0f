//! The writes of a turn of the event loop.

use super::state::Client;
use crate::id::ConnId;

impl<T> Client<T> {
    /// The end of a turn. True: the driver leaves the writes to the next turn, which must not wait for events.
    ///
    /// True if the event loop is busy, and never twice in a row. A write and the read of its replies cost as much as
    /// many operations. If more events have come meanwhile, their operations are written together with these. If not,
    /// the next turn ends at once. The replies would not be read earlier in any case.
    pub fn put_off_writes(&mut self) -> bool {
        let may = !self.network.draining;
        self.network.writes.put_off(may)
    }

    /// The next connection with new data to write, each once. The driver need not write all that
    /// [`transmit`](Client::transmit) gives: it writes the rest when the socket is writable again.
    pub fn poll_dirty(&mut self) -> Option<ConnId> {
        self.network.writes.next(&mut self.network.connections)
    }
}
