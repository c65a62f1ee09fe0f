//! Entity tags. They do not depend on nginx.
//!
//! Each memcached process counts versions from 1. So the same number belongs to another content after a restart, on a server
//! that stands in, and after a change of the server list. A client may keep a tag for longer than that: besides the version,
//! the tag has a checksum of the content.

use std::str;

use ngx_memcache::http::{HeaderText, HeaderValue};

/// A tag of an item that a client has seen.
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
    /// There is no item yet; a checksum of the server's process.
    Vacant(u32),
}

/// A checksum that identifies a memcached process.
pub fn process(pid: u64, started: u64) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&pid.to_le_bytes());
    checksum.update(&started.to_le_bytes());
    checksum.finalize()
}

/// The part after the version in a tag without an item.
const VACANT: &str = "vacant-";

impl Tag {
    /// The tag of an item.
    pub fn of(cas: u64, flags: u32, value: &[u8]) -> Self {
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&flags.to_le_bytes());
        checksum.update(value);
        Tag { cas, content: Content::Checksum(checksum.finalize()) }
    }

    /// The tag of a lease's empty item. There is no content to compare; the version is valid for the [`process`] that has
    /// counted it.
    pub fn vacant(cas: u64, process: u32) -> Self {
        Tag { cas, content: Content::Vacant(process) }
    }

    /// Whether it is the tag of a lease's empty item.
    pub fn is_vacant(&self) -> bool {
        matches!(self.content, Content::Vacant(_))
    }

    /// The version of the empty item, if the tag is from that process.
    pub fn place(&self, process: u32) -> Option<u64> {
        (self.content == Content::Vacant(process)).then_some(self.cas)
    }

    /// The tags of an `If-Match`. Weak tags, and foreign ones, match nothing, and are left out.
    pub fn parse_list(list: &[u8]) -> Vec<Self> {
        list.split(|&byte| byte == b',').filter_map(|tag| Self::parse(tag.trim_ascii())).collect()
    }

    fn parse(tag: &[u8]) -> Option<Self> {
        let (version, content) = str::from_utf8(tag).ok()?.strip_prefix('"')?.strip_suffix('"')?.split_once('-')?;
        let digits = |text: &str, radix| text.bytes().all(|byte| char::from(byte).is_digit(radix));
        let cas = version.parse().ok().filter(|_| digits(version, 10))?;
        let checksum = |text: &str| u32::from_str_radix(text, 16).ok().filter(|_| text.len() == 8 && digits(text, 16));
        Some(match content.strip_prefix(VACANT) {
            Some(process) => Tag::vacant(cas, checksum(process)?),
            None => Tag { cas, content: Content::Checksum(checksum(content)?) },
        })
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
            Content::Vacant(process) => {
                text.push(VACANT);
                text.push(hex(process));
            }
        }
        text.push("\"");
    }
}

/// Written by hand: every answer has a tag, and `{:08x}` takes about 300 instructions.
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
        for other in [Tag::of(3, 0, b"coW"), Tag::of(3, 1, b"cow"), Tag::of(4, 0, b"cow"), Tag::vacant(3, 0)] {
            assert_ne!(tag, other);
        }
        assert_ne!(Tag::of(3, 0, b""), Tag::of(3, 0, b"\0"));
        assert_ne!(Tag::of(3, 0, b""), Tag::vacant(3, 0));
        assert!(Tag::vacant(3, 0).is_vacant() && !tag.is_vacant());
    }

    #[test]
    fn r4_a_place_is_that_of_one_process() {
        let place = Tag::vacant(3, process(7, 1_795_000_000));
        assert_eq!(place.place(process(7, 1_795_000_000)), Some(3));
        for other in [process(8, 1_795_000_000), process(7, 1_795_000_001), process(1_795_000_000, 7)] {
            assert_eq!(place.place(other), None);
        }
        let Content::Checksum(checksum) = Tag::of(3, 0, b"cow").content else { panic!("no checksum") };
        assert_eq!(Tag::of(3, 0, b"cow").place(checksum), None);
    }

    #[test]
    fn tags_are_read_as_they_are_written() {
        let tags = [Tag::of(17, 7, b"cow"), Tag::vacant(u64::MAX, 9), Tag::of(0, 0, b"")];
        let list = tags.map(|tag| tag.to_string()).join(" ,\t");
        assert_eq!(Tag::parse_list(list.as_bytes()), tags);
        assert_eq!(Tag::vacant(7, 11).to_string(), "\"7-vacant-0000000b\"");
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
            "\"17-vacant\"",
            "\"17-vacant-\"",
            "\"17-vacant-0000000\"",
            "\"17-vacant-0000000b \"",
            "\"\u{ff11}-vacant-0000000b\"",
        ] {
            assert_eq!(Tag::parse_list(list.as_bytes()), [], "{list}");
        }
        let list = b"W/\"1-vacant-0000000b\", \"x\",, \"2-vacant-0000000b\" , \xff";
        assert_eq!(Tag::parse_list(list), [Tag::vacant(2, 11)]);
    }
}
