//! Memory for what is read and written.

use bytes::BytesMut;

/// So many are kept.
const MOST: usize = 4;
/// Larger ones are freed: a write buffer that has once held a burst is no read buffer.
const CAPACITY: usize = 64 * 1024;

/// Buffers that are kept for the next connection that reads or writes.
#[derive(Debug, Default)]
pub(crate) struct SpareBuffers(Vec<BytesMut>);

impl SpareBuffers {
    pub fn take(&mut self) -> Option<BytesMut> {
        self.0.pop()
    }

    /// A connection does not need it any more.
    pub fn keep(&mut self, mut buffer: BytesMut) {
        // What is behind its beginning is not all of its memory.
        let is_large = buffer.try_reclaim(CAPACITY + 1);
        if self.0.len() < MOST && !is_large {
            self.0.push(buffer);
        }
    }
}
