//! A text that one process publishes and all others read.
//!
//! There is no lock, as a process may be killed at any instruction. There are two buffers. The writer fills the one that is
//! not current, and then publishes it by one exchange of the version. Should two write at once, because one of them was
//! stopped and goes on when its right has ended, one of them publishes; each buffer has a check sum with its version, so
//! that nobody takes what they have mixed, and whoever has the right then publishes anew.

use std::sync::atomic::{fence, AtomicU64, Ordering};

use md5::{Digest, Md5};

use super::lease::Lease;
use crate::limits::MAX_PUBLISHED;

const WORD: usize = size_of::<u64>();

/// A text with a version, in memory that processes share. Zeros mean that nothing was published.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Published {
    version: AtomicU64,
    /// The right to publish.
    pub right: Lease,
    /// The odd versions are in the second one.
    buffers: [Buffer; 2],
}

#[derive(Debug)]
#[repr(C)]
struct Buffer {
    sum: AtomicU64,
    len: AtomicU64,
    words: [AtomicU64; MAX_PUBLISHED / WORD],
}

impl Default for Published {
    fn default() -> Self {
        let buffer = || Buffer {
            sum: AtomicU64::new(0),
            len: AtomicU64::new(0),
            words: [const { AtomicU64::new(0) }; MAX_PUBLISHED / WORD],
        };
        Published { version: AtomicU64::new(0), right: Lease::default(), buffers: [buffer(), buffer()] }
    }
}

impl Published {
    /// The version of the text; 0: there is none yet.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// The text, with its version. `None`: there is none, or none that is complete.
    pub fn read(&self) -> Option<(u64, Vec<u8>)> {
        let version = self.version.load(Ordering::Acquire);
        let buffer = self.buffer(version).filter(|_| version > 0)?;
        let len = usize::try_from(buffer.len.load(Ordering::Relaxed)).ok().filter(|&len| len <= MAX_PUBLISHED)?;
        let words = buffer.words.iter().take(len.div_ceil(WORD));
        let mut text: Vec<u8> = words.flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
        text.truncate(len);
        let sum = buffer.sum.load(Ordering::Relaxed);
        // What was read was read before the version is looked at again.
        fence(Ordering::Acquire);
        let is_complete = sum == check_sum(version, &text) && self.version.load(Ordering::Relaxed) == version;
        is_complete.then_some((version, text))
    }

    /// Publishes a text in place of that of a version. False: it is too long, or there is another version.
    pub fn publish(&self, text: &[u8], instead_of: u64) -> bool {
        let version = instead_of.wrapping_add(1);
        let Some(buffer) = self.buffer(version).filter(|_| text.len() <= MAX_PUBLISHED) else { return false };
        if self.version.load(Ordering::Acquire) != instead_of {
            return false;
        }
        buffer.len.store(text.len() as u64, Ordering::Relaxed);
        for (word, bytes) in buffer.words.iter().zip(text.chunks(WORD)) {
            let mut padded = [0; WORD];
            padded.iter_mut().zip(bytes).for_each(|(to, &from)| *to = from);
            word.store(u64::from_le_bytes(padded), Ordering::Relaxed);
        }
        buffer.sum.store(check_sum(version, text), Ordering::Relaxed);
        self.version.compare_exchange(instead_of, version, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn buffer(&self, version: u64) -> Option<&Buffer> {
        self.buffers.get(usize::from(version % 2 == 1))
    }
}

fn check_sum(version: u64, text: &[u8]) -> u64 {
    let sum: [u8; 16] = Md5::new().chain_update(version.to_le_bytes()).chain_update(text).finalize().into();
    u64::from_le_bytes(sum.first_chunk().copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published() -> Box<Published> {
        Box::default()
    }

    #[test]
    fn the_last_one_is_read() {
        let published = published();
        assert_eq!((published.version(), published.read()), (0, None));
        assert!(published.publish(b"one", 0));
        assert_eq!(published.read(), Some((1, b"one".to_vec())));
        assert!(published.publish(b"", 1));
        assert_eq!(published.read(), Some((2, Vec::new())));
        let long = vec![b'x'; MAX_PUBLISHED];
        assert!(published.publish(&long, 2));
        assert_eq!(published.read(), Some((3, long.clone())));
        assert!(!published.publish(&[&long[..], b"x"].concat(), 3), "it is too long");
        assert!(!published.publish(b"late", 2), "another one was faster");
        assert_eq!(published.read(), Some((3, long)));
    }

    #[test]
    fn a_writer_that_dies_at_any_point_leaves_what_was_there() {
        let published = published();
        assert!(published.publish(b"before", 0));
        // It has written a part of the next version.
        let next = &published.buffers[0];
        next.len.store(100, Ordering::Relaxed);
        next.words[0].store(7, Ordering::Relaxed);
        assert_eq!(published.read(), Some((1, b"before".to_vec())));
        assert!(published.publish(b"after", 1));
        assert_eq!(published.read(), Some((2, b"after".to_vec())));
    }

    #[test]
    fn what_two_writers_have_mixed_is_not_taken_and_is_replaced() {
        let published = published();
        assert!(published.publish(b"one", 0));
        assert!(published.publish(b"two", 1));
        // A writer that was stopped before it wrote version 2 goes on.
        published.buffers[0].words[0].store(7, Ordering::Relaxed);
        assert_eq!(published.read(), None);
        assert!(published.publish(b"three", 2));
        assert_eq!(published.read(), Some((3, b"three".to_vec())));
    }

    #[test]
    fn readers_see_whole_texts_while_several_write() {
        let published = published();
        std::thread::scope(|scope| {
            for writer in 0..2u8 {
                let published = &published;
                scope.spawn(move || {
                    for n in 0..300usize {
                        published.publish(&vec![b'a'.wrapping_add(writer); 1 + n % 50], published.version());
                    }
                });
            }
            for _ in 0..3_000 {
                let Some((_, text)) = published.read() else { continue };
                assert!(text.iter().all(|byte| byte == &text[0]), "{}", text.escape_ascii());
            }
        });
        assert!(published.publish(b"end", published.version()));
        assert_eq!(published.read().map(|(_, text)| text), Some(b"end".to_vec()));
    }
}
