//! Where the reading of a connection stands, whatever the dialect: in a line, or in a value of announced length.
//!
//! It remembers how far it has looked, so a reply that comes in a thousand pieces is still read once.

use bytes::{Buf, Bytes, BytesMut};

use super::line::{Malformed, MAX_LINE};

/// What is being read.
#[derive(Debug, Default, PartialEq, Eq)]
enum Reading {
    /// A line, of which so many bytes are known to have no line end.
    #[default]
    Line,
    /// A value of so many bytes, and what ends it.
    Value(usize),
    /// The rest of a value that nobody wants, and what ends it.
    Skip(usize),
}

/// Where the reading of a connection stands.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    reading: Reading,
    /// What ends the value.
    end: &'static [u8],
    /// Bytes at the front of the buffer that have no line end.
    pub(super) scanned: usize,
}

impl Decoder {
    /// The next line that ends behind the first `known` bytes, without its end, and the bytes it takes up with it; `None`:
    /// it has not all arrived.
    ///
    /// The caller removes these bytes from the buffer, and if a value follows says what to do with it by
    /// [`want`](Decoder::want) or [`skip`](Decoder::skip).
    #[inline]
    pub(super) fn frame<'b>(&mut self, buffer: &'b [u8], known: usize) -> Result<Option<(&'b [u8], usize)>, Malformed> {
        let from = self.scanned.max(known);
        let fresh = buffer.get(from..).unwrap_or_default();
        let Some(offset) = memchr::memchr(b'\n', fresh) else {
            self.scanned = buffer.len();
            // One more than the longest line may be there: the CR of its end.
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

    /// The value of `size` bytes that comes next is wanted; `end` has to be behind it.
    pub fn want(&mut self, size: usize, end: &'static [u8]) {
        self.reading = Reading::Value(size);
        self.end = end;
    }

    /// The value of `size` bytes that comes next is not wanted.
    pub fn skip(&mut self, size: usize, end: &'static [u8]) {
        self.reading = Reading::Skip(size);
        self.end = end;
    }

    /// Whether nothing of what the buffer has was looked at.
    pub fn is_fresh(&self) -> bool {
        self.reading == Reading::Line && self.scanned == 0
    }

    /// Whether a value is being read.
    pub fn in_value(&self) -> bool {
        self.reading != Reading::Line
    }

    /// Takes the value from the buffer, an empty one if it was skipped; `None`: it has not all arrived.
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
        // What is behind the value is checked as soon as it is there: a wrong length shows before more is read.
        let behind = buffer.get(size..).unwrap_or_default();
        if !behind.starts_with(self.end) {
            return if self.end.starts_with(behind) { Ok(None) } else { Err(Malformed::Syntax) };
        }
        self.reading = Reading::Line;
        let value = buffer.split_to(size).freeze();
        buffer.advance(self.end.len());
        Ok(Some(value))
    }

    /// How many bytes more the value that is being read needs, its end included, given what the buffer has.
    pub fn missing(&self, buffered: usize) -> usize {
        match self.reading {
            Reading::Line => 0,
            Reading::Value(size) => size.saturating_add(self.end.len()).saturating_sub(buffered),
            // Skipped bytes need no room of their own.
            Reading::Skip(_) => 0,
        }
    }
}
