//! Memory of large values that are gone, for the next ones.
//!
//! What is freed at the end of the heap goes back to the kernel, and the next value takes a page fault for each 4 KiB of
//! it: that was most of what a value of 100 KiB or more cost.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};

use crate::limits::SPARE_VALUES;

/// The spare memory of a client. Values may be let go on any thread, also when the client is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpareValues(Arc<Mutex<Spare>>);

#[derive(Debug, Default)]
struct Spare {
    /// Empty, the longest unused first.
    buffers: VecDeque<BytesMut>,
    /// What they have room for together, at most [`SPARE_VALUES`].
    bytes: usize,
}

impl SpareValues {
    /// An empty buffer with room for so many bytes, if there is one; not for more than twice as many, which a small value
    /// would keep.
    pub fn take(&self, size: usize) -> Option<BytesMut> {
        let mut spare = self.spare();
        let fits = |buffer: &BytesMut| (size..=size.saturating_mul(2)).contains(&buffer.capacity());
        let index = spare.buffers.iter().rposition(fits)?;
        let buffer = spare.buffers.remove(index)?;
        spare.bytes = spare.bytes.saturating_sub(buffer.capacity());
        Some(buffer)
    }

    /// The same value; its memory comes back here when the last one lets it go.
    pub fn lend(&self, value: Bytes) -> Bytes {
        Bytes::from_owner(Recycled { value, home: self.clone() })
    }

    fn give_back(&self, buffer: BytesMut) {
        if buffer.capacity() > SPARE_VALUES {
            return;
        }
        let mut spare = self.spare();
        spare.bytes = spare.bytes.saturating_add(buffer.capacity());
        spare.buffers.push_back(buffer);
        while spare.bytes > SPARE_VALUES {
            let Some(oldest) = spare.buffers.pop_front() else { return };
            spare.bytes = spare.bytes.saturating_sub(oldest.capacity());
        }
    }

    fn spare(&self) -> MutexGuard<'_, Spare> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A value that is the only one in its memory.
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
        if let Ok(mut buffer) = mem::take(&mut self.value).try_into_mut() {
            buffer.clear();
            self.home.give_back(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 100_000;

    /// As a connection makes it: in front of what came behind it.
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

        large.give_back(BytesMut::with_capacity(SPARE_VALUES + 1));
        assert_eq!(large.take(SIZE).unwrap().as_ptr(), last, "what is too large throws nothing out");
    }

    #[test]
    fn another_thread_may_let_it_go_last() {
        let large = SpareValues::default();
        let (value, _) = value(&large);
        std::thread::spawn(move || drop(value)).join().unwrap();
        assert!(large.take(SIZE).is_some());
    }
}
