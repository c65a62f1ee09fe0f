//! The one door through which anything gets into the headers of a response.
//!
//! **Rule.** What ends up in a header comes through here: names are checked, and values lose their control characters, so
//! that nothing that a handler passes on from somewhere else can begin another header, or a body (response splitting).
//! Headers that say where a response ends are nginx's alone.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use ngx::core::Status;
use ngx::http::HTTPStatus;

use super::headers::Headers;
use crate::nginx::log;
use crate::nginx::request::RequestRef;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    /// A header like any other.
    Plain,
    /// That one, which filters look at, too.
    ETag,
    /// That of the body, of which there is one.
    ContentType,
    /// What nginx writes by itself: a second one would say something else of where the response ends.
    OfNginx,
    /// No name.
    Invalid,
}

impl Name {
    fn of(name: &str) -> Self {
        if name.is_empty() || !is_tokens(name) {
            return Name::Invalid;
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // By its length first: most names have another one.
        match name.len() {
            4 if is("ETag") => Name::ETag,
            10 if is("Connection") || is("Keep-Alive") => Name::OfNginx,
            12 if is("Content-Type") => Name::ContentType,
            14 if is("Content-Length") => Name::OfNginx,
            17 if is("Transfer-Encoding") => Name::OfNginx,
            _ => Name::Plain,
        }
    }
}

/// Adds headers. One that cannot be is an error of the handler's: 500, and a line in the error log.
pub(super) fn push_headers(request: RequestRef<'_>, headers: &Headers) -> Result<(), Status> {
    let values = headers.values();
    if values.is_empty() || has_controls(values) {
        for (name, value) in headers.within(values) {
            push_header(request, name, Clean::of(request, value)?)?;
        }
        return Ok(());
    }
    // As a rule no value loses anything: one copy does for all.
    let values = request.copy(values)?;
    headers.within(values).try_for_each(|(name, value)| push_header(request, name, Clean(value)))
}

/// A value without control characters, in the pool of the request.
struct Clean<'r>(&'r [u8]);

impl<'r> Clean<'r> {
    fn of(request: RequestRef<'r>, value: &[u8]) -> Result<Self, Status> {
        Ok(Clean(request.copy(&without_controls(value))?))
    }
}

fn push_header<'r>(request: RequestRef<'r>, name: &'static str, value: Clean<'r>) -> Result<(), Status> {
    match Name::of(name) {
        Name::ContentType => request.set_content_type(value.0),
        Name::OfNginx => return Err(refused(request, format_args!("the header \"{name}\" is nginx's"))),
        Name::Invalid => return Err(refused(request, format_args!("{name:?} is no name of a header"))),
        kind @ (Name::Plain | Name::ETag) => {
            request.push_header(name, value.0, kind == Name::ETag)?;
        }
    }
    Ok(())
}

/// Sets the type of the body: this one, or the one that a header has said, or what `types` and `default_type` say.
pub(super) fn set_content_type(request: RequestRef<'_>, content_type: Option<&str>) -> Result<(), Status> {
    match content_type {
        Some(content_type) => request.set_content_type(Clean::of(request, content_type.as_bytes())?.0),
        None => return request.default_content_type(),
    }
    Ok(())
}

/// Says that a handler asked for what cannot be, and what it is answered with.
pub(super) fn refused(mut request: RequestRef<'_>, what: impl std::fmt::Display) -> Status {
    log::error(request.get_mut(), what);
    HTTPStatus::INTERNAL_SERVER_ERROR.into()
}

fn without_controls(bytes: &[u8]) -> Cow<'_, [u8]> {
    if has_controls(bytes) {
        bytes.iter().copied().filter(|&byte| !is_control(byte)).collect::<Vec<u8>>().into()
    } else {
        bytes.into()
    }
}

/// All bytes are looked at, without a way out: so the compiler looks at many at once.
fn has_controls(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &byte| found | is_control(byte))
}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// As in [`has_controls`].
fn is_tokens(name: &str) -> bool {
    name.bytes().fold(true, |all, byte| all & is_token(byte))
}

/// RFC 9110: what a name may consist of.
fn is_token(byte: u8) -> bool {
    TOKENS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Whether a name may have it, for each byte.
#[allow(clippy::indexing_slicing, reason = "a constant does not compile if there is nothing at an index")]
static TOKENS: [bool; 256] = {
    let mut tokens = [false; 256];
    let mut rest: &[u8] = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    while let [byte, after @ ..] = rest {
        tokens[*byte as usize] = true;
        rest = after;
    }
    tokens
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r20_no_value_can_begin_another_header() {
        assert_eq!(without_controls(b"a\r\nB: b\0\x7f\tc"), &b"aB: b\tc"[..]);
        assert_eq!(without_controls("\u{fc}\r".as_bytes()), "\u{fc}".as_bytes());
        assert!(matches!(without_controls(b"text/html; charset=utf-8"), Cow::Borrowed(_)));
        for byte in 0..=u8::MAX {
            let stays = matches!(byte, b'\t' | 0x20..=0x7e | 0x80..);
            assert_eq!(without_controls(&[b'a', byte]).len() == 2, stays, "{byte:#x}");
        }
    }

    #[test]
    fn r20_names() {
        for name in ["X-From", "Location", "Set-Cookie", "!#$%&'*+-.^_`|~09AZaz"] {
            assert_eq!(Name::of(name), Name::Plain, "{name}");
        }
        for name in ["", "X-Bad: b\r\nY", "X Y", "X:", "X\0", "\u{fc}", "X\n", "\"X\"", "X(Y)"] {
            assert_eq!(Name::of(name), Name::Invalid, "{name:?}");
        }
        for name in ["Content-Length", "content-length", "TRANSFER-ENCODING", "Connection", "Keep-Alive"] {
            assert_eq!(Name::of(name), Name::OfNginx, "{name}");
        }
        assert_eq!((Name::of("etag"), Name::of("content-type")), (Name::ETag, Name::ContentType));
    }
}
