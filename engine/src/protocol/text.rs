//! The classic text protocol, which every memcached has spoken since 1.2, and proxies and clones speak.
//!
//! Source: `doc/protocol.txt` of memcached, and what memcached 1.5.22 and 1.6.9 and twemproxy 0.5 were seen to answer.
//!
//! Replies carry no token. What tells that replies and requests are out of step is the form of each reply, which has to be
//! one that the request may have, and the key of each value. Each get is a request of its own, with one key: so a miss is
//! an answer, too, and not just something that is not there.

pub(super) mod check;
pub(super) mod command;
pub(super) mod decode;
pub(super) mod encode;
pub(super) mod hit;

/// What is behind a value: its line end, and the end of the answer to a get of one key.
pub(super) const VALUE_END: &[u8] = b"\r\nEND\r\n";
