//! The arguments of a request.

use percent_encoding::percent_decode;

/// The formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A page for people.
    #[default]
    Html,
    /// For programs.
    Json,
    /// Metrics in the text format of Prometheus.
    Prometheus,
}

impl Format {
    /// The format with this name, in the directive, in `?format=`, and after the location's name.
    pub fn parse(word: &[u8]) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name().as_bytes() == word)
    }

    /// All of them.
    pub const ALL: [Format; 3] = [Format::Html, Format::Json, Format::Prometheus];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Format::Html => "html",
            Format::Json => "json",
            Format::Prometheus => "prometheus",
        }
    }
}

/// What the request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The format.
    pub format: Format,
    /// The key whose route is to be explained, without the prefix.
    pub key: Option<Vec<u8>>,
}

/// There is no such format; the answer is 404, with [`UnknownFormat::TEXT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFormat;

impl UnknownFormat {
    /// The text of the answer.
    pub const TEXT: &'static str = "There is no such format: html, json, prometheus.\n";
}

impl Query {
    /// Reads `args`, the part after the `?`, and `suffix`, the path after the location's name. An argument has priority over
    /// the suffix, which has priority over the location's format. Of equal arguments, the first one counts. Other arguments
    /// are ignored.
    pub fn parse(own: Format, suffix: &[u8], args: &[u8]) -> Result<Query, UnknownFormat> {
        let by_suffix = match suffix {
            b"" | b"/" => own,
            [b'.' | b'/', word @ ..] => Format::parse(word).ok_or(UnknownFormat)?,
            _ => return Err(UnknownFormat),
        };
        let format = match argument(args, b"format=") {
            Some(word) => Format::parse(word).ok_or(UnknownFormat)?,
            None => by_suffix,
        };
        Ok(Query { format, key: argument(args, b"key=").map(decode) })
    }
}

fn argument<'a>(args: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    args.split(|&b| b == b'&').find_map(|argument| argument.strip_prefix(name))
}

/// Decodes like a form: a plus is a space.
fn decode(text: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = text.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
    percent_decode(&text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(own: Format, suffix: &str, args: &str) -> Result<Format, UnknownFormat> {
        Query::parse(own, suffix.as_bytes(), args.as_bytes()).map(|query| query.format)
    }

    fn key(args: &str) -> Option<Vec<u8>> {
        Query::parse(Format::Html, b"", args.as_bytes()).unwrap().key
    }

    #[test]
    fn argument_before_suffix_before_location() {
        for own in [Format::Html, Format::Json, Format::Prometheus] {
            assert_eq!(format(own, "", ""), Ok(own));
            assert_eq!(format(own, "/", ""), Ok(own));
            assert_eq!(format(own, ".json", ""), Ok(Format::Json));
            assert_eq!(format(own, "/prometheus", ""), Ok(Format::Prometheus));
            assert_eq!(format(own, ".json", "format=html"), Ok(Format::Html));
            assert_eq!(format(own, "", "a=b&format=json&format=html&key=x"), Ok(Format::Json));
        }
    }

    #[test]
    fn d6_unknown_formats() {
        for (suffix, args) in [("", "format="), ("", "format=xml"), ("", "format=JSON"), (".xml", ""), ("json", "")] {
            assert_eq!(format(Format::Html, suffix, args), Err(UnknownFormat), "{suffix} {args}");
        }
        assert_eq!(format(Format::Html, "x.json", ""), Err(UnknownFormat));
        assert_eq!(format(Format::Html, "/\"><script>", "format=json"), Err(UnknownFormat));
    }

    #[test]
    fn keys_are_decoded() {
        assert_eq!(key(""), None);
        assert_eq!(key("xkey=cow&keys=cow"), None);
        assert_eq!(key("key="), Some(b"".to_vec()));
        assert_eq!(key("format=html&key=cow"), Some(b"cow".to_vec()));
        assert_eq!(key("key=a%20b+c%2B%00%ff%zz&key=d"), Some(b"a b c+\0\xff%zz".to_vec()));
    }
}
