//! Entity tags: what a client has seen of an item. No nginx in here.
//!
//! memcached counts versions from 1 in each of its processes. So after a restart, or where another server has the key
//! (one that stands in, or a list of servers that has changed), the same number is that of something else. A tag outlives
//! all of that in a client's hands: beside the version it has a checksum of what was seen.

use std::str;

use ngx_memcache::http::{HeaderText, HeaderValue};

/// What a client has seen of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The version.
    cas: u64,
    content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// Of flags and value.
    Checksum(u32),
    /// None: the item is still to be made.
    Vacant,
}

/// What a tag has behind the version where there was no item.
const VACANT: &str = "vacant";

impl Tag {
    /// That of an item.
    pub fn of(cas: u64, flags: u32, value: &[u8]) -> Self {
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&flags.to_le_bytes());
        checksum.update(value);
        Tag { cas, content: Content::Checksum(checksum.finalize()) }
    }

    /// That of an item that somebody was told to make. There is nothing else to compare: the same version of such a
    /// place is the same to a client, whichever process counted it.
    pub fn vacant(cas: u64) -> Self {
        Tag { cas, content: Content::Vacant }
    }

    /// The version of the place, if the tag is of one.
    pub fn place(&self) -> Option<u64> {
        (self.content == Content::Vacant).then_some(self.cas)
    }

    /// The tags of an `If-Match`. Weak ones, and others than ours, match nothing, and are left out.
    pub fn parse_list(list: &[u8]) -> Vec<Self> {
        list.split(|&byte| byte == b',').filter_map(|tag| Self::parse(tag.trim_ascii())).collect()
    }

    fn parse(tag: &[u8]) -> Option<Self> {
        let (version, content) = str::from_utf8(tag).ok()?.strip_prefix('"')?.strip_suffix('"')?.split_once('-')?;
        let digits = |text: &str, radix| text.bytes().all(|byte| char::from(byte).is_digit(radix));
        let cas = version.parse().ok().filter(|_| digits(version, 10))?;
        if content == VACANT {
            return Some(Tag::vacant(cas));
        }
        let checksum = u32::from_str_radix(content, 16).ok().filter(|_| content.len() == 8 && digits(content, 16))?;
        Some(Tag { cas, content: Content::Checksum(checksum) })
    }
}

/// With its quotes.
impl HeaderValue for Tag {
    fn write(&self, text: &mut HeaderText) {
        text.push("\"");
        self.cas.write(text);
        text.push("-");
        match self.content {
            Content::Checksum(checksum) => text.push(hex(checksum)),
            Content::Vacant => text.push(VACANT),
        }
        text.push("\"");
    }
}

/// By hand: the tag is in every answer, and `{:08x}` takes some 300 instructions.
fn hex(number: u32) -> [u8; 8] {
    [28, 24, 20, 16, 12, 8, 4, 0]
        .map(|shift| char::from_digit(number >> shift & 0xf, 16).map_or(b'-', |digit| digit as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl std::fmt::Display for Tag {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let mut text = HeaderText::default();
            self.write(&mut text);
            f.write_str(&String::from_utf8_lossy(text.as_bytes()))
        }
    }

    #[test]
    fn r4_the_same_version_of_something_else_is_another_tag() {
        let tag = Tag::of(3, 0, b"cow");
        assert_eq!(tag, Tag::of(3, 0, b"cow"));
        for other in [Tag::of(3, 0, b"coW"), Tag::of(3, 1, b"cow"), Tag::of(4, 0, b"cow"), Tag::vacant(3)] {
            assert_ne!(tag, other);
        }
        assert_ne!(Tag::of(3, 0, b""), Tag::of(3, 0, b"\0"));
        assert_ne!(Tag::of(3, 0, b""), Tag::vacant(3));
        assert_eq!((Tag::vacant(3).place(), tag.place()), (Some(3), None));
    }

    #[test]
    fn tags_are_read_as_they_are_written() {
        let tags = [Tag::of(17, 7, b"cow"), Tag::vacant(u64::MAX), Tag::of(0, 0, b"")];
        let list = tags.map(|tag| tag.to_string()).join(" ,\t");
        assert_eq!(Tag::parse_list(list.as_bytes()), tags);
        assert_eq!(Tag::vacant(7).to_string(), "\"7-vacant\"");
        assert_eq!(Tag { cas: 7, content: Content::Checksum(10) }.to_string(), "\"7-0000000a\"");
    }

    #[test]
    fn weak_tags_and_those_of_others_match_nothing() {
        for list in [
            "",
            "*",
            "17",
            "\"17\"",
            "\"\"",
            "17-0000000a",
            "W/\"17-0000000a\"",
            "\"17-000000a\"",
            "\"17-00000000a\"",
            "\"17-+000000a\"",
            "\"+17-0000000a\"",
            "\"-0000000a\"",
            "\"18446744073709551616-0000000a\"",
            "\"17-0000000g\"",
            "\"17-0000000a",
            "\"17-vacant \"",
            "\"\u{ff11}-vacant\"",
        ] {
            assert_eq!(Tag::parse_list(list.as_bytes()), [], "{list}");
        }
        let list = b"W/\"1-vacant\", \"x\",, \"2-vacant\" , \xff";
        assert_eq!(Tag::parse_list(list), [Tag::vacant(2)]);
    }
}
