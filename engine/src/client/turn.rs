//! What a turn of the event loop writes, and whether it does so at its end.

use super::state::Client;
use crate::id::ConnId;

/// A turn in which so many operations were submitted was so long that there is more to do by now.
const BUSY: usize = 16;
/// So many share the cost of a write and a read well enough.
const MANY: usize = 128;

impl<T> Client<T> {
    /// The turn ends: whether to leave what is to be written to the next one, which then must not wait for events.
    ///
    /// True where the event loop is busy, and never twice in a row. A write and the read of what it leads to cost as much
    /// as many operations; where more has come meanwhile, its operations are written with these, and where nothing has,
    /// the next turn is over at once. Replies would not have been read before the next turn's end anyway.
    pub fn put_off_writes(&mut self) -> bool {
        let busy = (BUSY..MANY).contains(&std::mem::take(&mut self.writes.submitted));
        self.writes.put_off = busy && !self.writes.put_off && !self.writes.is_empty() && !self.network.draining;
        self.writes.put_off
    }

    /// The next connection that has something new to write, each once. Not all of what [`transmit`](Client::transmit)
    /// gives need be written now; the rest is the driver's to write when the socket is writable again.
    pub fn poll_dirty(&mut self) -> Option<ConnId> {
        loop {
            let conn = self.writes.dirty.pop_front()?;
            if let Some(connection) = self.network.connections.get_mut(conn) {
                connection.dirty = false;
                return Some(conn);
            }
        }
    }
}
