//! Whether a reply answers a request.

use crate::operation::key::Key;
use crate::protocol::line::{Code, Head, Malformed};

/// Whether the line is the answer to this request: a value has to name its key. The reader of the line has checked its
/// form.
#[inline]
pub(crate) fn check<'k>(line: &Head<'_>, key: impl FnOnce() -> Option<&'k Key>) -> Result<(), Malformed> {
    if line.code != Code::Value {
        return Ok(());
    }
    match (line.key, key()) {
        (Some(name), Some(own)) if name == own.raw() => Ok(()),
        _ => Err(Malformed::Syntax),
    }
}

/// Whether a server that refuses a store with this `SERVER_ERROR` has read its value. memcached has, and so have
/// proxies that cannot reach a server. If the value was too large, the server may not have read it.
pub(crate) fn has_taken_value(text: &[u8]) -> bool {
    !text.starts_with(b"object too large")
}
