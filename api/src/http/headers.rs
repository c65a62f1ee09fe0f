//! Headers of a response.

use std::fmt::{self, Display, Write};

use smallvec::SmallVec;

/// Names and values, in their order. A few short ones need no memory but that of this value.
#[derive(Default)]
pub(super) struct Headers {
    /// All values, one behind the other.
    text: SmallVec<[u8; 48]>,
    /// The names, and where their values end.
    ends: SmallVec<[(&'static str, usize); 3]>,
}

impl Headers {
    /// Adds one, as it is: it is checked on its way out, see [`door`](super::door).
    pub(super) fn add(&mut self, name: &'static str, value: impl Display) {
        // A value that does not know how to show itself is cut short there.
        let _ = write!(Text(&mut self.text), "{value}");
        self.ends.push((name, self.text.len()));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(name, end)| {
            let value = self.text.get(start..end).unwrap_or_default();
            start = end;
            (name, value)
        })
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value)))).finish()
    }
}

struct Text<'a>(&'a mut SmallVec<[u8; 48]>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(headers: &Headers) -> Vec<(&str, &[u8])> {
        headers.iter().collect()
    }

    #[test]
    fn names_and_values() {
        let mut headers = Headers::default();
        assert_eq!(all(&headers), []);
        headers.add("A", 1);
        headers.add("Empty", "");
        headers.add("ETag", format_args!("\"{}\"", u64::MAX));
        assert_eq!(all(&headers), [("A", &b"1"[..]), ("Empty", b""), ("ETag", b"\"18446744073709551615\"")]);
        assert!(!headers.text.spilled() && !headers.ends.spilled());

        let long = "\u{fc}".repeat(100);
        headers.add("Long", &long);
        headers.add("Last", 'x');
        assert_eq!(all(&headers)[3..], [("Long", long.as_bytes()), ("Last", b"x")]);
    }
}
