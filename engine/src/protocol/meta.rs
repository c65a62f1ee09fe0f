//! The memcached meta protocol.
//!
//! Source: `doc/protocol.txt` of memcached, "Meta Commands", and what memcached 1.6.18 was seen to answer. Replies to
//! meta commands echo the request's opaque token, except error lines, which carry none; so replies are matched by their
//! order, and the token is what detects that the order was lost.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod hit;
pub(crate) mod token;
