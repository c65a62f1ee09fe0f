//! Bytes to replies.
//!
//! A reply is a line, and for `VA` a value of announced length behind it. The decoder remembers how far it has looked,
//! so a reply that comes in a thousand pieces is still read once.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

use crate::protocol::number::leading_number;

/// The longest line of a reply, in bytes, without its line end. Longer ones are not the protocol: a key has 250 bytes,
/// a flag at most 21, an error text of memcached less than 1 KiB.
pub const MAX_LINE: usize = 8192;

/// The largest value that is skipped when it is larger than the configuration allows: memcached's own maximum (`-I 1g`).
const MAX_ITEM: usize = 1024 * 1024 * 1024;

/// The bytes are not what the protocol allows here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Other bytes were due.
    Syntax,
    /// More bytes than a reply may have: a line, or the lines of statistics.
    TooLong,
    /// It may be the answer to another request than the one that is due.
    Unclear,
}

/// The codes of replies to meta commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Code {
    /// `HD`: done.
    #[default]
    Done,
    /// `VA`: done, and a value follows.
    Value,
    /// `EN`: a miss of `mg`.
    Miss,
    /// `NF`: a miss of the others.
    NotFound,
    /// `NS`: not stored.
    NotStored,
    /// `EX`: the version differs.
    Exists,
}

/// A line with the flags that we ask for; others are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub code: Code,
    /// Bytes of the value: the one that follows a `VA`, or as the flag `s` says.
    pub size: usize,
    /// `O`
    pub token: Option<u64>,
    /// `k`, and whether `b` says that it is encoded.
    pub key: Option<&'a [u8]>,
    pub binary: bool,
    /// `f`
    pub flags: u32,
    /// `c`
    pub cas: u64,
    /// `W`: the caller has to make the item anew.
    pub won: bool,
    /// `Z`: another one was told so.
    pub leased: bool,
    /// `X`
    pub stale: bool,
    /// `t`; `None`: it does not expire.
    pub ttl: Option<u32>,
    /// `l`
    pub idle: u32,
    /// `h`
    pub fetched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Head(Head<'a>),
    /// `MN`
    Noop,
    /// `OK`
    Ok,
    /// `VERSION text`
    Version(&'a [u8]),
    /// `STAT name value`
    Stat(&'a [u8]),
    /// `END`
    End,
    /// `SERVER_ERROR text`
    ServerError(&'a [u8]),
    /// `CLIENT_ERROR text`, or `ERROR`
    ClientError(&'a [u8]),
}

impl Head<'_> {
    /// Whether it is not an item but its place, which somebody was told to fill.
    pub fn is_vacant(&self) -> bool {
        self.size == 0 && (self.won || self.leased)
    }

    /// Whether it is there for leases alone, and missing for all others.
    pub fn is_hidden(&self) -> bool {
        self.stale || self.is_vacant()
    }
}

impl<'a> Line<'a> {
    /// The name of a key that is in the line as it is may have any bytes.
    fn parse(line: &'a [u8], name: Range<usize>) -> Result<Self, Malformed> {
        let (before, behind) = (line.get(..name.start), line.get(name.end..));
        if [before, behind].into_iter().any(|part| part.is_none_or(|part| memchr::memchr2(b'\r', 0, part).is_some())) {
            return Err(Malformed::Syntax);
        }
        let (word, rest) = match memchr::memchr(b' ', line) {
            Some(at) => line.split_at_checked(at).ok_or(Malformed::Syntax)?,
            None => (line, &[][..]),
        };
        let text = rest.strip_prefix(b" ").unwrap_or(rest);
        let code = match word {
            b"HD" => Code::Done,
            b"VA" => Code::Value,
            b"EN" => Code::Miss,
            b"NF" => Code::NotFound,
            b"NS" => Code::NotStored,
            b"EX" => Code::Exists,
            b"MN" if rest.is_empty() => return Ok(Line::Noop),
            b"OK" if rest.is_empty() => return Ok(Line::Ok),
            b"VERSION" if !text.is_empty() => return Ok(Line::Version(text)),
            b"STAT" if !text.is_empty() => return Ok(Line::Stat(text)),
            b"END" if rest.is_empty() => return Ok(Line::End),
            b"SERVER_ERROR" => return Ok(Line::ServerError(text)),
            b"CLIENT_ERROR" | b"ERROR" => return Ok(Line::ClientError(text)),
            _ => return Err(Malformed::Syntax),
        };
        Head::parse(code, text, name.len()).map(Line::Head)
    }
}

impl<'a> Head<'a> {
    /// `named`: bytes of the first name of a key, if that is more than a word.
    fn parse(code: Code, text: &'a [u8], mut named: usize) -> Result<Self, Malformed> {
        let mut head = Head { code, ..Head::default() };
        let mut words = Words(text);
        if code == Code::Value {
            head.size = usize::try_from(words.number()?).map_err(|_| Malformed::Syntax)?;
        }
        while let Some(flag) = words.flag() {
            match flag {
                b'O' => head.token = Some(words.number()?),
                b'k' if named > 0 => head.key = Some(words.bytes(std::mem::take(&mut named))?),
                b'k' => head.key = Some(words.word()),
                b'c' => head.cas = words.number()?,
                b'f' => head.flags = words.number32()?,
                b's' if code != Code::Value => head.size = words.number32()? as usize,
                b't' if words.0.starts_with(b"-") => match words.word() {
                    b"-1" => head.ttl = None,
                    _ => return Err(Malformed::Syntax),
                },
                b't' => head.ttl = Some(words.number32()?),
                b'l' => head.idle = words.number32()?,
                b'h' => head.fetched = words.word() == b"1",
                b'W' => head.won |= words.word().is_empty(),
                b'Z' => head.leased |= words.word().is_empty(),
                b'X' => head.stale |= words.word().is_empty(),
                b'b' => head.binary |= words.word().is_empty(),
                // Between two spaces is nothing.
                b' ' => {}
                _ => {
                    words.word();
                }
            }
        }
        if head.size > MAX_ITEM {
            return Err(Malformed::Syntax);
        }
        Ok(head)
    }
}

/// What is between single spaces. Each byte is looked at once: these lines are most of what is read.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// The first byte of the next word; a space, if that has none.
    fn flag(&mut self) -> Option<u8> {
        let (&flag, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(flag)
    }

    /// The word, or the rest of it, without the space behind it.
    fn word(&mut self) -> &'a [u8] {
        // Words are short: to look for their ends with more than this costs more than it saves.
        let end = self.0.iter().position(|&b| b == b' ').unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end).unwrap_or_default();
        self.0 = rest.get(1..).unwrap_or_default();
        word
    }

    /// So many bytes, and the space behind them.
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed::Syntax)?;
        self.0 = rest.get(1..).unwrap_or_default();
        Ok(bytes)
    }

    /// The same, which has to be a number.
    fn number(&mut self) -> Result<u64, Malformed> {
        let (n, rest) = leading_number(self.0).ok_or(Malformed::Syntax)?;
        self.0 = match rest.split_first() {
            None => rest,
            Some((b' ', rest)) => rest,
            Some(_) => return Err(Malformed::Syntax),
        };
        Ok(n)
    }

    /// The same for 32 bits.
    fn number32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed::Syntax)
    }
}

/// Where a line names a key as it is.
enum Name {
    Here(Range<usize>),
    /// So far it could be that; more bytes will tell.
    Begun,
    /// Nowhere, or not this one, or encoded.
    None,
}

/// Looks for the key behind the first flag `k` of the line at the front of the buffer. What is in front of it are a code
/// and numbers. An encoded name is longer than the key, and has none of the bytes for which it is encoded, so that
/// neither is taken for the other.
fn name_of(buffer: &[u8], key: &[u8]) -> Name {
    let line = memchr::memchr(b'\n', buffer).and_then(|end| buffer.get(..end)).unwrap_or(buffer);
    let is_head = line.get(2) == Some(&b' ');
    let Some(at) = memchr::memmem::find(line, b" k").filter(|_| is_head) else { return Name::None };
    let start = at.saturating_add(2);
    let rest = buffer.get(start..).unwrap_or_default();
    match (rest.strip_prefix(key).map(<[u8]>::first), key.starts_with(rest)) {
        (Some(Some(b' ' | b'\r')), _) => Name::Here(start..start.saturating_add(key.len())),
        (Some(None), _) | (None, true) => Name::Begun,
        _ => Name::None,
    }
}

/// What is being read.
#[derive(Debug, Default, PartialEq, Eq)]
enum Reading {
    /// A line, of which so many bytes are known to have no line end.
    #[default]
    Line,
    /// A value of so many bytes, and the line end behind it.
    Value(usize),
    /// The rest of a value that nobody wants, and the line end behind it.
    Skip(usize),
}

/// Where the reading of a connection stands.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    reading: Reading,
    /// Bytes at the front of the buffer that have no line end.
    scanned: usize,
}

impl Decoder {
    /// The next line and the bytes it takes up with its end; `None`: it has not all arrived.
    ///
    /// The caller removes these bytes from the buffer, and if a value follows says what to do with it by
    /// [`want`](Decoder::want) or [`skip`](Decoder::skip).
    pub fn line<'b>(&mut self, buffer: &'b [u8]) -> Result<Option<(Line<'b>, usize)>, Malformed> {
        self.line_with(buffer, 0..0)
    }

    /// The same where the line may name this key as it is, whatever bytes it has: line ends, too.
    pub fn line_naming<'b>(&mut self, buffer: &'b [u8], key: &[u8]) -> Result<Option<(Line<'b>, usize)>, Malformed> {
        match name_of(buffer, key) {
            Name::Here(range) => self.line_with(buffer, range),
            Name::Begun => Ok(None),
            Name::None => self.line(buffer),
        }
    }

    fn line_with<'b>(&mut self, buffer: &'b [u8], name: Range<usize>) -> Result<Option<(Line<'b>, usize)>, Malformed> {
        let from = self.scanned.max(name.end);
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
        Ok(Some((Line::parse(line, name)?, end.saturating_add(1))))
    }

    /// The value of `size` bytes that comes next is wanted.
    pub fn want(&mut self, size: usize) {
        self.reading = Reading::Value(size);
    }

    /// The value of `size` bytes that comes next is not wanted.
    pub fn skip(&mut self, size: usize) {
        self.reading = Reading::Skip(size);
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
        if !behind.is_empty() && !behind.starts_with(b"\r") {
            return Err(Malformed::Syntax);
        }
        match behind.get(1) {
            None => return Ok(None),
            Some(b'\n') => {}
            Some(_) => return Err(Malformed::Syntax),
        }
        self.reading = Reading::Line;
        let value = buffer.split_to(size).freeze();
        buffer.advance(2);
        Ok(Some(value))
    }

    /// How many bytes more the value that is being read needs, its line end included, given what the buffer has.
    pub fn missing(&self, buffered: usize) -> usize {
        match self.reading {
            Reading::Line => 0,
            Reading::Value(size) => size.saturating_add(2).saturating_sub(buffered),
            // Skipped bytes need no room of their own.
            Reading::Skip(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests;
