//! Times and sizes, as nginx reads them.

#![allow(unsafe_code)]

use nginx_sys::{ngx_parse_offset, ngx_parse_size, ngx_parse_time, ngx_str_t};

fn text(bytes: &[u8]) -> ngx_str_t {
    ngx_str_t { len: bytes.len(), data: bytes.as_ptr().cast_mut() }
}

/// Milliseconds, from a text such as `1m 30s`.
pub fn time(bytes: &[u8]) -> Option<u64> {
    // SAFETY: the text is there until the call returns, and is only read; so in all of these.
    u64::try_from(unsafe { ngx_parse_time(&mut text(bytes), 0) }).ok()
}

/// Bytes, from a text such as `4k`, `1m` or `2g`.
pub fn offset(bytes: &[u8]) -> Option<usize> {
    // SAFETY: as above.
    usize::try_from(unsafe { ngx_parse_offset(&mut text(bytes)) }).ok()
}

/// Bytes, from a text such as `4k` or `1m`.
pub fn size(bytes: &[u8]) -> Option<usize> {
    // SAFETY: as above.
    usize::try_from(unsafe { ngx_parse_size(&mut text(bytes)) }).ok()
}
