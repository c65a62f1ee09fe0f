//! Bytes to be written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Values up to this size are copied into the buffer of requests. Larger ones are written from their own memory.
pub(crate) const INLINE_VALUE: usize = 4096;

/// The bytes that a connection has to write, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// Complete pieces, in front of `tail`.
    pieces: VecDeque<Bytes>,
    /// Invariant: the sum of their lengths.
    pieces_len: usize,
    /// The piece that requests are appended to.
    tail: BytesMut,
}

impl Outbound {
    /// The number of bytes to write.
    pub fn len(&self) -> usize {
        self.pieces_len.saturating_add(self.tail.len())
    }

    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    pub fn put_value(&mut self, value: &Bytes) {
        if value.len() <= INLINE_VALUE {
            return self.put(value);
        }
        self.put_shared(value);
    }

    /// Appends the bytes from their own memory, whatever their number.
    pub fn put_shared(&mut self, value: &Bytes) {
        if !self.tail.is_empty() {
            self.pieces_len = self.pieces_len.saturating_add(self.tail.len());
            self.pieces.push_back(self.tail.split().freeze());
        }
        self.pieces_len = self.pieces_len.saturating_add(value.len());
        self.pieces.push_back(value.clone());
    }

    /// Fills `slices` from the front. Returns the number of slices used.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let mut used = 0usize;
        for (slice, piece) in slices.iter_mut().zip(self.pieces.iter().map(|p| &p[..]).chain(tail)) {
            *slice = IoSlice::new(piece);
            used = used.saturating_add(1);
        }
        used
    }

    /// Drops `n` bytes from the front after they were written.
    pub fn advance(&mut self, n: usize) {
        let mut left = n.min(self.len());
        while let Some(piece) = self.pieces.front_mut() {
            let now = left.min(piece.len());
            piece.advance(now);
            self.pieces_len = self.pieces_len.saturating_sub(now);
            if !piece.is_empty() {
                return;
            }
            left = left.saturating_sub(now);
            self.pieces.pop_front();
        }
        if left == self.tail.len() {
            // Not `advance`: it would shrink the room behind the end of the buffer each time.
            self.tail.clear();
        } else {
            self.tail.advance(left.min(self.tail.len()));
        }
    }

    /// Takes a buffer to write into, if there is none.
    pub fn lend(&mut self, buffer: impl FnOnce() -> Option<BytesMut>) {
        if self.tail.capacity() == 0 {
            self.tail = buffer().unwrap_or_default();
        }
    }

    /// Gives back the memory of an idle connection.
    pub fn shrink(&mut self) -> Option<BytesMut> {
        let large = self.len() == 0 && self.tail.capacity() > INLINE_VALUE;
        large.then(|| std::mem::take(&mut self.tail))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn content(out: &Outbound) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let used = out.slices(&mut slices);
        slices[..used].iter().flat_map(|s| s.to_vec()).collect()
    }

    #[test]
    fn every_way_to_write_it_gives_the_same_bytes() {
        let large = Bytes::from(vec![b'L'; INLINE_VALUE + 1]);
        let fill = || {
            let mut out = Outbound::default();
            out.put(b"head ");
            out.put_value(&Bytes::from_static(b"small"));
            out.put_value(&large);
            out.put_value(&large);
            out.put(b" end");
            out
        };
        let whole = content(&fill());
        assert_eq!(whole.len(), fill().len());
        for step in [1, 2, 3, 7, 100, 4096, 4097, 9000, whole.len()] {
            let mut out = fill();
            let mut seen = Vec::new();
            while out.len() > 0 {
                let now = content(&out);
                let n = step.min(now.len());
                seen.extend_from_slice(&now[..n]);
                out.advance(n);
            }
            assert!(seen == whole, "in steps of {step}");
            assert!(content(&out).is_empty());
        }
    }

    #[test]
    fn large_values_are_not_copied() {
        let large = Bytes::from(vec![0; INLINE_VALUE + 1]);
        let mut out = Outbound::default();
        out.put(b"x");
        out.put_value(&large);
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(out.slices(&mut slices), 2);
        assert_eq!(slices[1].as_ptr(), large.as_ptr());
    }

    #[test]
    fn few_slices_show_the_front() {
        let mut out = Outbound::default();
        out.put(b"a");
        out.put_value(&Bytes::from(vec![0; INLINE_VALUE + 1]));
        out.put(b"b");
        let mut slices = [IoSlice::new(&[]); 1];
        assert_eq!(out.slices(&mut slices), 1);
        assert_eq!(&*slices[0], b"a");
        assert_eq!(out.slices(&mut []), 0);
    }
}
