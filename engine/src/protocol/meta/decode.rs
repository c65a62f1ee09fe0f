//! Bytes to replies.
//!
//! A reply is a line, and for `VA` a value of announced length behind it.

use std::ops::Range;

use crate::protocol::decoder::Decoder;
use crate::protocol::line::{Code, Head, Line, Malformed, MAX_ITEM};
use crate::protocol::number::leading_number;

impl<'a> Line<'a> {
    /// `name`: the range of a raw key in the line, which may have any bytes.
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
    /// `named`: the length of the first key's name, if that may contain spaces; otherwise 0.
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
                // An empty word.
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

/// The words between single spaces. Each byte is read once, as these lines are most of the input.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// The first byte of the next word; a space, if the word is empty.
    fn flag(&mut self) -> Option<u8> {
        let (&flag, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(flag)
    }

    /// The word, or the rest of it. Skips the space behind it.
    fn word(&mut self) -> &'a [u8] {
        // Words are short, so a simple search is the fastest.
        let end = self.0.iter().position(|&b| b == b' ').unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end).unwrap_or_default();
        self.0 = rest.get(1..).unwrap_or_default();
        word
    }

    /// This many bytes. Skips the space behind them.
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed::Syntax)?;
        self.0 = rest.get(1..).unwrap_or_default();
        Ok(bytes)
    }

    /// The word, or the rest of it, as a number.
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

/// The position of a raw key in a line.
enum Name {
    Here(Range<usize>),
    /// The key may begin here: more bytes are needed.
    Begun,
    /// There is none, it is another key, or it is encoded.
    None,
}

/// Searches for the key behind the first flag `k` of the line at the front of the buffer. Only a code and numbers
/// precede it. An encoded name is longer than the key, and has none of the bytes that require encoding, so the two
/// cannot be confused.
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

impl Decoder {
    /// The next line, and its length with its end; `None`: it is not complete.
    pub fn line<'b>(&mut self, buffer: &'b [u8]) -> Result<Option<(Line<'b>, usize)>, Malformed> {
        self.line_with(buffer, 0..0)
    }

    /// The same for a line that may name this raw key, which may have any bytes, even line ends.
    pub fn line_naming<'b>(&mut self, buffer: &'b [u8], key: &[u8]) -> Result<Option<(Line<'b>, usize)>, Malformed> {
        match name_of(buffer, key) {
            Name::Here(range) => self.line_with(buffer, range),
            Name::Begun => Ok(None),
            Name::None => self.line(buffer),
        }
    }

    fn line_with<'b>(&mut self, buffer: &'b [u8], name: Range<usize>) -> Result<Option<(Line<'b>, usize)>, Malformed> {
        let Some((line, used)) = self.frame(buffer, name.end)? else { return Ok(None) };
        Ok(Some((Line::parse(line, name)?, used)))
    }
}

#[cfg(test)]
mod tests;
