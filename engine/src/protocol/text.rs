//! The classic text protocol. Every memcached since 1.2 speaks it, and so do proxies and clones.
//!
//! Source: `doc/protocol.txt` of memcached, and replies seen from memcached 1.5.22 and 1.6.9 and twemproxy 0.5.
//!
//! Replies carry no token. The client checks the form of each reply against the request, and the key of each value.
//! This detects replies that are out of step. Each get has one key and is a request of its own, so a miss is an
//! explicit answer.

pub(super) mod check;
pub(super) mod command;
pub(super) mod decode;
pub(super) mod encode;
pub(super) mod hit;

/// The end of a value: its line end, and the end of the answer to a get of one key.
pub(super) const VALUE_END: &[u8] = b"\r\nEND\r\n";
