//! Connections that have something new to write.

use std::collections::VecDeque;

use crate::connection::Connection;
use crate::id::ConnId;

/// What is to be written.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// Connections with something new, each once; some may be gone.
    pub(super) dirty: VecDeque<ConnId>,
    /// Operations that were submitted since this turn began.
    pub(super) submitted: usize,
    /// Whether the turn before left its writes to this one.
    pub(super) put_off: bool,
}

impl Writes {
    pub fn is_empty(&self) -> bool {
        self.dirty.is_empty()
    }

    pub fn count_submitted(&mut self) {
        self.submitted = self.submitted.saturating_add(1);
    }

    /// The connection has something new to write.
    pub fn mark(&mut self, conn: ConnId, connection: &mut Connection) {
        if !std::mem::replace(&mut connection.dirty, true) {
            self.dirty.push_back(conn);
        }
    }
}
