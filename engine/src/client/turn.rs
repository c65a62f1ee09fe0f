//! What a turn of the event loop writes, and whether it does so at its end.

use super::state::Client;
use crate::id::ConnId;

impl<T> Client<T> {
    /// The turn ends: whether to leave what is to be written to the next one, which then must not wait for events.
    ///
    /// True where the event loop is busy, and never twice in a row. A write and the read of what it leads to cost as much
    /// as many operations; where more has come meanwhile, its operations are written with these, and where nothing has,
    /// the next turn is over at once. Replies would not have been read before the next turn's end anyway.
    pub fn put_off_writes(&mut self) -> bool {
        let may = !self.network.draining;
        self.network.writes.put_off(may)
    }

    /// The next connection that has something new to write, each once. Not all of what [`transmit`](Client::transmit)
    /// gives need be written now; the rest is the driver's to write when the socket is writable again.
    pub fn poll_dirty(&mut self) -> Option<ConnId> {
        self.network.writes.next(&mut self.network.connections)
    }
}
