//! The one door through which anything gets into the headers of a response.
//!
//! **Rule.** What ends up in a header comes through here: names are checked, and values lose their control characters, so
//! that nothing that a handler passes on from somewhere else can begin another header, or a body (response splitting).
//! Headers that say where a response ends are nginx's alone.

use std::borrow::Cow;
use std::ptr;
use std::slice;

use ngx::core::Status;
use ngx::ffi::{
    ngx_http_request_t, ngx_http_set_content_type, ngx_list_push, ngx_pnalloc, ngx_pool_t, ngx_str_t, ngx_table_elt_t,
};
use ngx::http::{HTTPStatus, Request};

use super::headers::Headers;
use super::request::ok;
use crate::event_loop::log;

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
        if name.is_empty() || !name.bytes().all(is_token) {
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
///
/// # Safety
///
/// `r` is alive.
pub(super) unsafe fn push_headers(r: &mut ngx_http_request_t, headers: &Headers) -> Result<(), Status> {
    let values = headers.values();
    if values.is_empty() || has_controls(values) {
        for (name, value) in headers.within(values) {
            // SAFETY: guaranteed by the caller, here and below.
            unsafe { push_header(r, name, value_of(r.pool, value)?)? };
        }
        return Ok(());
    }
    // As a rule no value loses anything: one copy does for all.
    // SAFETY: as above.
    let values = unsafe { copy(r.pool, values)? };
    for (name, value) in headers.within(values) {
        let value = ngx_str_t { len: value.len(), data: value.as_ptr().cast_mut() };
        // SAFETY: as above.
        unsafe { push_header(r, name, value)? };
    }
    Ok(())
}

/// # Safety
///
/// `r` is alive. `value` is what [`value_of`] returns, or was found to have no control characters, and is in the pool.
unsafe fn push_header(r: &mut ngx_http_request_t, name: &'static str, value: ngx_str_t) -> Result<(), Status> {
    let kind = Name::of(name);
    // SAFETY: guaranteed by the caller, here and below.
    unsafe {
        match kind {
            Name::ContentType => {
                set_type(r, value);
                return Ok(());
            }
            Name::OfNginx => return Err(refused(r, format_args!("the header \"{name}\" is nginx's"))),
            Name::Invalid => return Err(refused(r, format_args!("{name:?} is no name of a header"))),
            Name::Plain | Name::ETag => {}
        }
    }
    // SAFETY: as above. nginx does not clear what it gives us; zeros are good in all of its versions.
    unsafe {
        let header = ngx_list_push(&mut r.headers_out.headers).cast::<ngx_table_elt_t>();
        if header.is_null() {
            return Err(no_memory());
        }
        header.write_bytes(0, 1);
        // Filters look at the hash first: while it is 0, the header does not exist.
        (*header).key = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
        (*header).value = value;
        (*header).hash = 1;
        if kind == Name::ETag {
            r.headers_out.etag = header;
        }
    }
    Ok(())
}

/// Sets the type of the body: this one, or the one that a header has said, or what `types` and `default_type` say.
///
/// # Safety
///
/// `r` is alive.
pub(super) unsafe fn set_content_type(r: &mut ngx_http_request_t, content_type: Option<&str>) -> Result<(), Status> {
    // SAFETY: guaranteed by the caller.
    unsafe {
        match content_type {
            Some(content_type) => set_type(r, value_of(r.pool, content_type.as_bytes())?),
            None => return ok(ngx_http_set_content_type(r)),
        }
    }
    Ok(())
}

/// Says that a handler asked for what cannot be, and what it is answered with.
///
/// # Safety
///
/// `r` is alive.
pub(super) unsafe fn refused(r: &mut ngx_http_request_t, what: impl std::fmt::Display) -> Status {
    // SAFETY: guaranteed by the caller.
    log::error(unsafe { Request::from_ngx_http_request(r) }, format_args!("{what}"));
    HTTPStatus::INTERNAL_SERVER_ERROR.into()
}

fn set_type(r: &mut ngx_http_request_t, content_type: ngx_str_t) {
    r.headers_out.content_type = content_type;
    r.headers_out.content_type_len = content_type.len;
    r.headers_out.content_type_lowcase = ptr::null_mut();
}

/// The bytes as they may be in a header, in the pool.
///
/// # Safety
///
/// `pool` is alive.
unsafe fn value_of(pool: *mut ngx_pool_t, bytes: &[u8]) -> Result<ngx_str_t, Status> {
    // SAFETY: guaranteed by the caller.
    let bytes = unsafe { copy(pool, &without_controls(bytes))? };
    Ok(ngx_str_t { len: bytes.len(), data: bytes.as_ptr().cast_mut() })
}

/// The bytes, in the pool.
///
/// # Safety
///
/// `pool` is alive, and is as long as the bytes are used.
unsafe fn copy<'a>(pool: *mut ngx_pool_t, bytes: &[u8]) -> Result<&'a [u8], Status> {
    // SAFETY: guaranteed by the caller; there is room for as many bytes as are written.
    unsafe {
        let data = ngx_pnalloc(pool, bytes.len()).cast::<u8>();
        if data.is_null() {
            return Err(no_memory());
        }
        data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        Ok(slice::from_raw_parts(data, bytes.len()))
    }
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

fn no_memory() -> Status {
    HTTPStatus::INTERNAL_SERVER_ERROR.into()
}

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
