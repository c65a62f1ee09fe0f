//! Bytes to replies.

use crate::operation::request::DiscoverBy;
use crate::protocol::decoder::Decoder;
use crate::protocol::expect::Expect;
use crate::protocol::line::{Code, Head, Line, Malformed, MAX_ITEM};
use crate::protocol::number::{leading_number, number};

impl Decoder {
    /// The next line, which has to be a possible answer to such a request, and its length; `None`: it is not complete.
    #[inline(never)]
    pub fn text_line<'b>(&mut self, buffer: &'b [u8], expect: Expect) -> Result<Option<(Line<'b>, usize)>, Malformed> {
        let Some((line, used)) = self.frame(buffer, 0)? else { return Ok(None) };
        Ok(Some((parse(line, expect)?, used)))
    }
}

fn parse(line: &[u8], expect: Expect) -> Result<Line<'_>, Malformed> {
    if memchr::memchr2(b'\r', 0, line).is_some() {
        return Err(Malformed::Syntax);
    }
    let (word, text) = match memchr::memchr(b' ', line) {
        Some(at) => (line.get(..at), line.get(at.saturating_add(1)..)),
        None => (Some(line), None),
    };
    let word = word.unwrap_or_default();
    match (word, text) {
        (b"SERVER_ERROR", text) => return Ok(Line::ServerError(text.unwrap_or_default())),
        (b"CLIENT_ERROR" | b"ERROR", text) => return Ok(Line::ClientError(text.unwrap_or_default())),
        _ => {}
    }
    let code = match (expect, word, text) {
        (Expect::Get | Expect::Gat, b"VALUE", Some(text)) => return value(text).map(Line::Head),
        (Expect::Get | Expect::Gat, b"END", None) => Code::Miss,
        (Expect::Set | Expect::Conditional, b"STORED", None) => Code::Done,
        (Expect::Set | Expect::Conditional, b"NOT_STORED", None) => Code::NotStored,
        (Expect::Set, b"EXISTS", None) => Code::Exists,
        (Expect::Set | Expect::Delete | Expect::Count | Expect::Touch, b"NOT_FOUND", None) => Code::NotFound,
        (Expect::Delete, b"DELETED", None) => Code::Done,
        (Expect::Touch, b"TOUCHED", None) => Code::Done,
        // memcached's numbers may end with the spaces that `decr` leaves.
        (Expect::Count, ..) => {
            return number(line.trim_ascii_end()).map(Line::Number).ok_or(Malformed::Syntax);
        }
        (Expect::Noop, b"VERSION", Some(_)) => return Ok(Line::Noop),
        (Expect::Version, b"VERSION", Some(text)) if !text.is_empty() => return Ok(Line::Version(text)),
        (Expect::Stats, b"STAT", Some(text)) if !text.is_empty() => return Ok(Line::Stat(text)),
        (Expect::Stats, b"END", None) => return Ok(Line::End),
        (Expect::FlushAll, b"OK", None) => return Ok(Line::Ok),
        (Expect::Discover(DiscoverBy::Config), b"CONFIG", Some(text)) => return servers(text, b"cluster "),
        (Expect::Discover(DiscoverBy::Item), b"VALUE", Some(text)) => {
            return servers(text, b"AmazonElastiCache:cluster ")
        }
        (Expect::Discover(_), b"END", None) => return Ok(Line::End),
        _ => return Err(Malformed::Syntax),
    };
    Ok(Line::Head(Head { code, ..Head::default() }))
}

/// `key flags size version`
fn value(text: &[u8]) -> Result<Head<'_>, Malformed> {
    let parts = || {
        let at = memchr::memchr(b' ', text).filter(|&at| at > 0)?;
        let (key, rest) = text.split_at_checked(at)?;
        let (flags, rest) = leading_number(rest.strip_prefix(b" ")?)?;
        let (size, rest) = leading_number(rest.strip_prefix(b" ")?)?;
        let cas = number(rest.strip_prefix(b" ")?)?;
        Some((key, u32::try_from(flags).ok()?, usize::try_from(size).ok()?, cas))
    };
    let (key, flags, size, cas) = parts().ok_or(Malformed::Syntax)?;
    if size > MAX_ITEM {
        return Err(Malformed::Syntax);
    }
    Ok(Head { code: Code::Value, size, key: Some(key), flags, cas, ..Head::default() })
}

/// `name flags size`
fn servers<'a>(text: &[u8], name: &[u8]) -> Result<Line<'a>, Malformed> {
    let size = || {
        let (flags, rest) = leading_number(text.strip_prefix(name)?)?;
        let size = number(rest.strip_prefix(b" ")?)?;
        u32::try_from(flags).ok()?;
        usize::try_from(size).ok().filter(|&size| size <= MAX_ITEM)
    };
    size().map(Line::Servers).ok_or(Malformed::Syntax)
}

#[cfg(test)]
mod tests;
