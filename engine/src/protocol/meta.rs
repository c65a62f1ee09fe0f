//! The memcached meta protocol.
//!
//! Source: `doc/protocol.txt` of memcached, "Meta Commands", and what memcached 1.6.18 was seen to answer. Replies to
//! meta commands echo the request's opaque token, except error lines, which carry none; so replies are matched by their
//! order, and the token is what detects that the order was lost.

pub(super) mod check;
pub(super) mod decode;
pub(super) mod encode;
pub(super) mod hit;

/// What is behind a value.
pub(super) const VALUE_END: &[u8] = b"\r\n";
