//! Connections with data to write, and when they are written.

use std::collections::VecDeque;

use super::connections::Connections;
use crate::connection::Connection;
use crate::id::ConnId;

/// A turn with this many submitted operations was so long that more events are waiting.
const BUSY: usize = 16;
/// This many operations are enough to share the cost of a write and a read.
const MANY: usize = 128;

/// Pending writes.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// Connections with new data, each once. Some may have ended.
    dirty: VecDeque<ConnId>,
    /// Operations that were submitted in this turn.
    submitted: usize,
    /// Whether the previous turn left its writes to this one.
    put_off: bool,
}

impl Writes {
    pub fn count_submitted(&mut self) {
        self.submitted = self.submitted.saturating_add(1);
    }

    /// The connection has new data to write.
    pub fn mark(&mut self, conn: ConnId, connection: &mut Connection) {
        if connection.set_dirty() {
            self.dirty.push_back(conn);
        }
    }

    /// The next connection with new data to write.
    pub fn next(&mut self, connections: &mut Connections) -> Option<ConnId> {
        loop {
            let conn = self.dirty.pop_front()?;
            if let Some(connection) = connections.get_mut(conn) {
                connection.set_clean();
                return Some(conn);
            }
        }
    }

    /// The turn ends. Whether its writes are left to the next one; `may`: whether that is allowed.
    pub fn put_off(&mut self, may: bool) -> bool {
        let busy = (BUSY..MANY).contains(&std::mem::take(&mut self.submitted));
        self.put_off = busy && !self.put_off && !self.dirty.is_empty() && may;
        self.put_off
    }
}
