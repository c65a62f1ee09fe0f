//! Whether a reply answers a request.

use crate::operation::key::Key;
use crate::protocol::expect::Expect;
use crate::protocol::line::{Code, Head, Malformed};
use crate::protocol::token::Token;

/// Whether the line is the answer to this request, by its token, and by its key if that was asked for.
#[inline]
pub(crate) fn check<'k>(
    expect: Expect,
    token: Token,
    line: &Head<'_>,
    key: impl FnOnce() -> Option<&'k Key>,
) -> Result<(), Malformed> {
    match line.token {
        Some(echoed) if echoed == u64::from(token) => {}
        // memcached before the fix of its issue 880 sends a miss without its flags.
        None if line.code == Code::Miss && line.key.is_none() => return Ok(()),
        _ => return Err(Malformed::Syntax),
    }
    if !expect.is_lookup() {
        return Ok(());
    }
    match (line.key, key()) {
        (None, _) if matches!(line.code, Code::Value | Code::Done) => Err(Malformed::Syntax),
        (Some(name), Some(own)) if !own.is_named(name, line.binary) => Err(Malformed::Syntax),
        _ => Ok(()),
    }
}
