//! The memcached meta protocol.
//!
//! Source: `doc/protocol.txt` of memcached, "Meta Commands", and replies seen from memcached 1.6.18. Replies to meta
//! commands echo the request's opaque token, except error lines, which carry none. So replies are matched by their
//! order, and the token detects a loss of order.

pub(super) mod check;
pub(super) mod decode;
pub(super) mod encode;
pub(super) mod hit;

/// The end of a value.
pub(super) const VALUE_END: &[u8] = b"\r\n";
