//! Memory of large values, kept for later values.
//!
//! The allocator returns freed memory at the end of the heap to the kernel. The next value then causes a page fault per
//! 4 KiB, which was most of the cost of values of 100 KiB or more. Memory that is not used again goes back to the
//! allocator.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use crate::limits::{READ_CHUNK, SPARE_VALUES};

/// The spare memory of a client. Values may be dropped on any thread, and after the client.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpareValues(Arc<Mutex<Spare>>);

#[derive(Debug, Default)]
struct Spare {
    /// Empty buffers, the longest unused first.
    buffers: VecDeque<BytesMut>,
    /// Their total capacity, at most [`SPARE_VALUES`].
    bytes: usize,
    /// The number of buffers, from the front, that are unused since the last [`age`](SpareValues::age).
    unused: usize,
    /// The number of values whose memory will come back.
    lent: usize,
}

impl SpareValues {
    /// Whether a value of this size has memory of its own, which is kept. A smaller one shares the read buffer.
    pub fn keeps(size: usize) -> bool {
        size > READ_CHUNK
    }

    /// An empty buffer with this capacity, if there is one. Its capacity is at most twice as large, as the value keeps
    /// all of it.
    pub fn take(&self, size: usize) -> Option<BytesMut> {
        let mut spare = self.spare();
        let fits = |buffer: &BytesMut| (size..=size.saturating_mul(2)).contains(&buffer.capacity());
        let index = spare.buffers.iter().rposition(fits)?;
        let buffer = spare.buffers.remove(index)?;
        spare.bytes = spare.bytes.saturating_sub(buffer.capacity());
        if index < spare.unused {
            spare.unused = spare.unused.saturating_sub(1);
        }
        Some(buffer)
    }

    /// Returns the same value. Its memory comes back here when the last reference is dropped.
    pub fn lend(&self, value: Bytes) -> Bytes {
        let mut spare = self.spare();
        spare.lent = spare.lent.saturating_add(1);
        Bytes::from_owner(Recycled { value, home: self.clone() })
    }

    /// Frees buffers that are unused since the last call. Returns whether any are left, or will come back.
    pub fn age(&self) -> bool {
        let mut spare = self.spare();
        for _ in 0..spare.unused {
            spare.drop_oldest();
        }
        spare.unused = spare.buffers.len();
        spare.unused > 0 || spare.lent > 0
    }

    /// Takes back the memory of a value; `None`: another reference still has it.
    fn give_back(&self, buffer: Option<BytesMut>) {
        let mut spare = self.spare();
        spare.lent = spare.lent.saturating_sub(1);
        let Some(mut buffer) = buffer.filter(|buffer| buffer.capacity() <= SPARE_VALUES) else { return };
        buffer.clear();
        spare.bytes = spare.bytes.saturating_add(buffer.capacity());
        spare.buffers.push_back(buffer);
        while spare.bytes > SPARE_VALUES {
            spare.drop_oldest();
        }
    }

    fn spare(&self) -> MutexGuard<'_, Spare> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spare {
    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.buffers.pop_front() {
            self.bytes = self.bytes.saturating_sub(oldest.capacity());
            self.unused = self.unused.saturating_sub(1);
        }
    }
}

/// A value that has its memory to itself.
struct Recycled {
    value: Bytes,
    home: SpareValues,
}

impl AsRef<[u8]> for Recycled {
    fn as_ref(&self) -> &[u8] {
        &self.value
    }
}

impl Drop for Recycled {
    fn drop(&mut self) {
        self.home.give_back(mem::take(&mut self.value).try_into_mut().ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 100_000;

    /// The value as a connection builds it: followed by other bytes.
    fn value(large: &SpareValues) -> (Bytes, *const u8) {
        let mut buffer = large.take(SIZE).unwrap_or_else(|| BytesMut::with_capacity(SIZE));
        buffer.resize(SIZE, b'v');
        let place = buffer.as_ptr();
        (large.lend(buffer.split_to(SIZE - 2).freeze()), place)
    }

    #[test]
    fn memory_comes_back_with_the_last_reference() {
        let large = SpareValues::default();
        let (value, place) = value(&large);
        let (slice, copy) = (value.slice(10..20), value.clone());
        drop((value, copy));
        assert!(large.take(SIZE).is_none());
        assert_eq!(&slice[..], b"vvvvvvvvvv");
        drop(slice);
        assert!(large.take(SIZE / 2 - 1).is_none(), "more than twice as much");
        let buffer = large.take(SIZE).unwrap();
        assert_eq!((buffer.as_ptr(), buffer.len()), (place, 0));
        assert!(large.take(SIZE).is_none(), "only once");
    }

    #[test]
    fn no_more_is_kept_than_the_limit() {
        let large = SpareValues::default();
        let values: Vec<_> = (0..SPARE_VALUES / SIZE + 3).map(|_| value(&large)).collect();
        let last = values.last().unwrap().1;
        drop(values);
        let spare = large.spare();
        assert!((SPARE_VALUES - SIZE..=SPARE_VALUES).contains(&spare.bytes), "{}", spare.bytes);
        assert_eq!(spare.buffers.iter().map(BytesMut::capacity).sum::<usize>(), spare.bytes);
        assert_eq!(spare.buffers.back().unwrap().as_ptr(), last);
        drop(spare);

        large.give_back(Some(BytesMut::with_capacity(SPARE_VALUES + 1)));
        assert_eq!(large.take(SIZE).unwrap().as_ptr(), last, "what is too large throws nothing out");
    }

    #[test]
    fn r11_what_is_not_used_again_is_freed() {
        let large = SpareValues::default();
        assert!(!large.age(), "nothing to wait for");
        let values: Vec<_> = (0..3).map(|_| value(&large)).collect();
        assert!(large.age(), "they are lent");
        drop(values);
        assert!(large.age(), "they were used just now");
        let (used, place) = value(&large);
        assert!(large.age());
        assert_eq!(large.spare().buffers.len(), 0, "the other two");
        drop(used);
        assert!(large.age());
        assert_eq!(large.spare().buffers.front().unwrap().as_ptr(), place);
        assert!(!large.age());
        let spare = large.spare();
        assert_eq!((spare.buffers.len(), spare.bytes, spare.unused, spare.lent), (0, 0, 0, 0));
    }

    #[test]
    fn another_thread_may_let_it_go_last() {
        let large = SpareValues::default();
        let (value, _) = value(&large);
        std::thread::spawn(move || drop(value)).join().unwrap();
        assert!(large.take(SIZE).is_some());
    }
}
