//! Whether a reply is the one to a request.

use crate::operation::key::Key;
use crate::protocol::line::{Code, Head, Malformed};

/// Whether the line is the answer to this request, as far as one can see: a value names its key. That the form is right
/// was seen when the line was read.
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

/// Whether a server that refuses a store with this `SERVER_ERROR` has taken its value before. memcached has, and so have
/// proxies when they cannot reach a server. What finds a value too large may as well not have read it.
pub(crate) fn has_taken_value(text: &[u8]) -> bool {
    !text.starts_with(b"object too large")
}
