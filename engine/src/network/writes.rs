//! Connections that have something new to write, and when it is written.

use std::collections::VecDeque;

use super::connections::Connections;
use crate::connection::Connection;
use crate::id::ConnId;

/// A turn in which so many operations were submitted was so long that there is more to do by now.
const BUSY: usize = 16;
/// So many share the cost of a write and a read well enough.
const MANY: usize = 128;

/// What is to be written.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// Connections with something new, each once; some may be gone.
    dirty: VecDeque<ConnId>,
    /// Operations that were submitted since this turn began.
    submitted: usize,
    /// Whether the turn before left its writes to this one.
    put_off: bool,
}

impl Writes {
    pub fn count_submitted(&mut self) {
        self.submitted = self.submitted.saturating_add(1);
    }

    /// The connection has something new to write.
    pub fn mark(&mut self, conn: ConnId, connection: &mut Connection) {
        if !std::mem::replace(&mut connection.dirty, true) {
            self.dirty.push_back(conn);
        }
    }

    /// The next connection with something new to write.
    pub fn next(&mut self, connections: &mut Connections) -> Option<ConnId> {
        loop {
            let conn = self.dirty.pop_front()?;
            if let Some(connection) = connections.get_mut(conn) {
                connection.dirty = false;
                return Some(conn);
            }
        }
    }

    /// The turn ends: whether what is to be written is left to the next one, if it may be.
    pub fn put_off(&mut self, may: bool) -> bool {
        let busy = (BUSY..MANY).contains(&std::mem::take(&mut self.submitted));
        self.put_off = busy && !self.put_off && !self.dirty.is_empty() && may;
        self.put_off
    }
}
