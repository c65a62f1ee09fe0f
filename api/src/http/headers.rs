//! Headers of a response.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt::{self, Write};

use smallvec::SmallVec;

/// What can be the value of a header: strings, integers, `format_args!` for what is neither, and your own types.
///
/// ```
/// use ngx_memcache::http::{HeaderText, HeaderValue};
///
/// struct Point(u8, u8);
///
/// impl HeaderValue for Point {
///     fn write(&self, text: &mut HeaderText) {
///         self.0.write(text);
///         text.push(", ");
///         self.1.write(text);
///     }
/// }
///
/// let mut text = HeaderText::default();
/// Point(1, 20).write(&mut text);
/// assert_eq!(text.as_bytes(), b"1, 20");
/// ```
pub trait HeaderValue {
    /// Writes the value at the end of the text.
    fn write(&self, text: &mut HeaderText);
}

/// Where the values of headers are written.
pub struct HeaderText {
    /// The text while it fits. A few short values need no memory but that of the response.
    short: [u8; HeaderText::SHORT],
    len: usize,
    /// The whole text from then on.
    long: Vec<u8>,
}

impl Default for HeaderText {
    fn default() -> Self {
        HeaderText { short: [0; HeaderText::SHORT], len: 0, long: Vec::new() }
    }
}

impl HeaderText {
    const SHORT: usize = 48;

    /// Appends text, or bytes.
    #[inline]
    pub fn push(&mut self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        let end = self.len.saturating_add(text.len());
        match self.short.get_mut(self.len..end) {
            Some(room) => room.copy_from_slice(text),
            None => self.push_long(text),
        }
        self.len = end;
    }

    #[cold]
    fn push_long(&mut self, bytes: &[u8]) {
        if self.long.is_empty() {
            self.long.extend_from_slice(self.short.get(..self.len).unwrap_or_default());
        }
        self.long.extend_from_slice(bytes);
    }

    /// What was written.
    pub fn as_bytes(&self) -> &[u8] {
        self.short.get(..self.len).unwrap_or(&self.long)
    }
}

impl fmt::Write for HeaderText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

impl<T: HeaderValue + ?Sized> HeaderValue for &T {
    fn write(&self, text: &mut HeaderText) {
        T::write(self, text);
    }
}

impl HeaderValue for str {
    fn write(&self, text: &mut HeaderText) {
        text.push(self);
    }
}

impl HeaderValue for String {
    fn write(&self, text: &mut HeaderText) {
        text.push(self);
    }
}

impl HeaderValue for Cow<'_, str> {
    fn write(&self, text: &mut HeaderText) {
        text.push(self.as_bytes());
    }
}

impl HeaderValue for char {
    fn write(&self, text: &mut HeaderText) {
        text.push(self.encode_utf8(&mut [0; 4]));
    }
}

/// A value that does not know how to show itself is cut short there.
impl HeaderValue for fmt::Arguments<'_> {
    fn write(&self, text: &mut HeaderText) {
        let _ = text.write_fmt(*self);
    }
}

macro_rules! integers {
    ($($type:ident)*) => {$(
        impl HeaderValue for $type {
            fn write(&self, text: &mut HeaderText) {
                text.push(itoa::Buffer::new().format(*self));
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }

/// Names and values, in their order.
#[derive(Default)]
pub(super) struct Headers {
    /// All values, one behind the other.
    text: HeaderText,
    /// The names, and where their values end.
    ends: SmallVec<[(&'static str, usize); 3]>,
}

impl Headers {
    /// Adds one, as it is: it is checked on its way out, see [`door`](super::door).
    pub(super) fn add(&mut self, name: &'static str, value: impl HeaderValue) {
        value.write(&mut self.text);
        self.ends.push((name, self.text.len));
    }

    /// All values, one behind the other.
    pub(super) fn values(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Names and values, of which these are all, or a copy of them.
    pub(super) fn within<'s, 'v>(
        &'s self,
        values: &'v [u8],
    ) -> impl Iterator<Item = (&'static str, &'v [u8])> + use<'s, 'v> {
        let mut start = 0;
        self.ends.iter().map(move |&(name, end)| {
            let value = values.get(start..end).unwrap_or_default();
            start = end;
            (name, value)
        })
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.within(self.values()).map(|(name, value)| (name, String::from_utf8_lossy(value))))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(headers: &Headers) -> Vec<(&str, &[u8])> {
        headers.within(headers.values()).collect()
    }

    #[test]
    fn names_and_values() {
        let mut headers = Headers::default();
        assert_eq!(all(&headers), []);
        headers.add("A", 1);
        headers.add("Empty", "");
        headers.add("ETag", format_args!("\"{}\"", u64::MAX));
        assert_eq!(all(&headers), [("A", &b"1"[..]), ("Empty", b""), ("ETag", b"\"18446744073709551615\"")]);
        assert!(headers.text.long.is_empty() && !headers.ends.spilled());

        let long = "\u{fc}".repeat(100);
        headers.add("Long", &long);
        headers.add("Last", 'x');
        assert_eq!(all(&headers)[3..], [("Long", long.as_bytes()), ("Last", b"x")]);
    }
}
