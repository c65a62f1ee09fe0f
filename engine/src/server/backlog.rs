//! Bytes of values that are still to be written to a server.

use crate::limits::MAX_BACKLOG;

/// How many there are.
#[derive(Debug, Default)]
pub(crate) struct Backlog(usize);

impl Backlog {
    /// Whether there may be so many more.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.0.saturating_add(bytes) <= MAX_BACKLOG
    }

    /// So many more are to be written.
    pub fn add(&mut self, bytes: usize) {
        self.0 = self.0.saturating_add(bytes);
    }

    /// So many were written, or will not be.
    pub fn remove(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    /// How many there are.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.0
    }
}
