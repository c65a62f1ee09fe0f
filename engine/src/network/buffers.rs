//! Buffers for reads and writes.

use bytes::BytesMut;

/// The most buffers that are kept.
const MOST: usize = 4;
/// Larger ones are freed: a write buffer that has held a burst is too large to read into.
const CAPACITY: usize = 64 * 1024;

/// Unused buffers, for the next connection that reads or writes.
#[derive(Debug, Default)]
pub(crate) struct SpareBuffers(Vec<BytesMut>);

impl SpareBuffers {
    pub fn take(&mut self) -> Option<BytesMut> {
        self.0.pop()
    }

    /// Keeps a buffer that a connection does not need any more.
    pub fn keep(&mut self, mut buffer: BytesMut) {
        // The capacity does not count the memory in front of the buffer's start.
        let is_large = buffer.try_reclaim(CAPACITY + 1);
        if self.0.len() < MOST && !is_large {
            self.0.push(buffer);
        }
    }
}
