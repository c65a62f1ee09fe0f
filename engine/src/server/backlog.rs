//! Bytes of values that wait to be written to a server.

use crate::limits::MAX_BACKLOG;

/// The number of these bytes.
#[derive(Debug, Default)]
pub(crate) struct Backlog(usize);

impl Backlog {
    /// Whether there is room for `bytes` more.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.0.saturating_add(bytes) <= MAX_BACKLOG
    }

    /// `bytes` more wait.
    pub fn add(&mut self, bytes: usize) {
        self.0 = self.0.saturating_add(bytes);
    }

    /// `bytes` were written, or will not be.
    pub fn remove(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    /// How many there are.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.0
    }
}
