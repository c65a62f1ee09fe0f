//! Text in pieces of a bounded size. A lack of memory is an error, and not a panic.

use std::fmt;
use std::io;

/// Bytes of a piece.
pub const PIECE: usize = 32 * 1024;

/// Text that is being written. After a lack of memory, further text is dropped: see [`is_complete`](Pieces::is_complete).
#[derive(Debug, Default)]
pub struct Pieces {
    list: Vec<Vec<u8>>,
    bytes: usize,
    no_memory: bool,
}

impl Pieces {
    /// The pieces, none of which is empty.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.list.iter().map(Vec::as_slice)
    }

    /// How many bytes they have.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether there was memory for all that was written.
    pub fn is_complete(&self) -> bool {
        !self.no_memory
    }

    /// The whole text.
    #[must_use]
    pub fn into_text(self) -> String {
        String::from_utf8_lossy(&self.list.concat()).into_owned()
    }

    fn push(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() && !self.no_memory {
            if self.list.last().is_none_or(|piece| piece.len() == piece.capacity()) {
                self.list.try_reserve(1).ok()?;
                let mut piece = Vec::new();
                piece.try_reserve_exact(PIECE).ok()?;
                self.list.push(piece);
            }
            let piece = self.list.last_mut()?;
            let (now, later) =
                bytes.split_at_checked(piece.capacity().saturating_sub(piece.len())).unwrap_or((bytes, &[]));
            piece.extend_from_slice(now);
            self.bytes = self.bytes.saturating_add(now.len());
            bytes = later;
        }
        bytes.is_empty().then_some(())
    }
}

impl fmt::Write for Pieces {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes()).ok_or_else(|| {
            self.no_memory = true;
            fmt::Error
        })
    }
}

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.push(bytes) {
            Some(()) => Ok(bytes.len()),
            None => {
                self.no_memory = true;
                Err(io::ErrorKind::OutOfMemory.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The position of the next step; each format counts in its own way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    pub major: usize,
    pub minor: usize,
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn pieces_are_bounded_and_nothing_is_lost() {
        let mut pieces = Pieces::default();
        let mut all = String::new();
        for n in 0..20_000 {
            write!(pieces, "{n} ").unwrap();
            write!(all, "{n} ").unwrap();
        }
        pieces.write_str(&"x".repeat(3 * PIECE)).unwrap();
        all.push_str(&"x".repeat(3 * PIECE));
        assert!(pieces.is_complete());
        assert_eq!(pieces.len(), all.len());
        assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE));
        assert_eq!(pieces.into_text(), all);
    }
}
