//! The memcached meta protocol: requests to bytes, bytes to replies.
//!
//! Source: `doc/protocol.txt` of memcached, "Meta Commands", and what memcached 1.6.18 was seen to answer. Replies to
//! meta commands echo the request's opaque token, except error lines, which carry none; so replies are matched by their
//! order, and the token is what detects that the order was lost.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod hit;
pub(crate) mod outbound;
pub(crate) mod version;

/// The opaque token of a request: decimal, at most 10 digits, of the 31 that every server accepts.
pub(crate) type Token = u32;
