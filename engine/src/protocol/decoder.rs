//! The state of reading, in all dialects: in a line, or in a value of announced length.
//!
//! It keeps the position of the search, so a reply in a thousand pieces is still searched once.

use bytes::{Buf, Bytes, BytesMut};

use super::line::{Malformed, MAX_LINE};

/// The part that is being read.
#[derive(Debug, Default, PartialEq, Eq)]
enum Reading {
    /// A line. The decoder has searched part of it for the line end.
    #[default]
    Line,
    /// A value of this many bytes, and its end.
    Value(usize),
    /// The rest of a skipped value, and its end.
    Skip(usize),
}

/// The state of reading on a connection.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    reading: Reading,
    /// The bytes that end the value.
    end: &'static [u8],
    /// Bytes at the front of the buffer without a line end.
    pub(super) scanned: usize,
}

impl Decoder {
    /// The next line with an end behind the first `known` bytes. Returns it without its end, and its length with it;
    /// `None`: it is not complete.
    ///
    /// The caller removes these bytes from the buffer. If a value follows, the caller calls [`want`](Decoder::want) or
    /// [`skip`](Decoder::skip).
    #[inline]
    pub(super) fn frame<'b>(&mut self, buffer: &'b [u8], known: usize) -> Result<Option<(&'b [u8], usize)>, Malformed> {
        let from = self.scanned.max(known);
        let fresh = buffer.get(from..).unwrap_or_default();
        let Some(offset) = memchr::memchr(b'\n', fresh) else {
            self.scanned = buffer.len();
            // One byte more than the longest line is allowed: the CR of the line end.
            return if buffer.len() > MAX_LINE.saturating_add(1) { Err(Malformed::TooLong) } else { Ok(None) };
        };
        let end = from.saturating_add(offset);
        self.scanned = 0;
        let line = buffer.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Malformed::Syntax)?;
        if line.len() > MAX_LINE {
            return Err(Malformed::TooLong);
        }
        Ok(Some((line, end.saturating_add(1))))
    }

    /// The caller wants the next value, of `size` bytes. `end` has to follow it.
    pub fn want(&mut self, size: usize, end: &'static [u8]) {
        self.reading = Reading::Value(size);
        self.end = end;
    }

    /// The caller does not want the next value, of `size` bytes.
    pub fn skip(&mut self, size: usize, end: &'static [u8]) {
        self.reading = Reading::Skip(size);
        self.end = end;
    }

    /// Whether no byte of the buffer was searched yet.
    pub fn is_fresh(&self) -> bool {
        self.reading == Reading::Line && self.scanned == 0
    }

    /// Whether a value is being read.
    pub fn in_value(&self) -> bool {
        self.reading != Reading::Line
    }

    /// Takes the value from the buffer, an empty one if it was skipped; `None`: it is not complete.
    pub fn value(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Malformed> {
        if let Reading::Skip(left) = &mut self.reading {
            let now = buffer.len().min(*left);
            buffer.advance(now);
            *left = left.saturating_sub(now);
        }
        let size = match self.reading {
            Reading::Line => return Err(Malformed::Syntax),
            Reading::Value(size) => size,
            Reading::Skip(0) => 0,
            Reading::Skip(_) => return Ok(None),
        };
        // The end is checked as soon as its bytes are there, so a wrong length is found before more is read.
        let behind = buffer.get(size..).unwrap_or_default();
        if !behind.starts_with(self.end) {
            return if self.end.starts_with(behind) { Ok(None) } else { Err(Malformed::Syntax) };
        }
        self.reading = Reading::Line;
        let value = buffer.split_to(size).freeze();
        buffer.advance(self.end.len());
        Ok(Some(value))
    }

    /// The missing bytes of the current value, with its end, if the buffer has `buffered` bytes.
    pub fn missing(&self, buffered: usize) -> usize {
        match self.reading {
            Reading::Line => 0,
            Reading::Value(size) => size.saturating_add(self.end.len()).saturating_sub(buffered),
            // Skipped bytes need no room of their own.
            Reading::Skip(_) => 0,
        }
    }
}
