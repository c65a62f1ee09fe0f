//! The classic text protocol. Every memcached since 1.2 speaks it, and so do proxies and clones.
//!
//! Source: `doc/protocol.txt` of memcached, and replies seen from memcached 1.5.22 and 1.6.9 and twemproxy 0.5.
//!
//! Replies carry no token. The client checks the form of each reply against the request, and the key of each value.
//! This detects replies that are out of step. Each get has one key and is a request of its own, so a miss is an
//! explicit answer.
//!
//! # Why not several keys in one `gets`
//!
//! It would save work in the servers. Measured with 20 keys of 19 bytes, values of 100 bytes, in one write, as microseconds
//! of CPU for each key; both kinds of requests get their answers on one connection:
//!
//! | server | hits: a line for each, one line | misses: a line for each, one line | bytes saved for each key |
//! |---|---|---|---|
//! | memcached 1.6.18, 1.6.9 | 4.2, 0.6 | 4.0, 0.5 | 6 sent, 5 received |
//! | twemproxy 0.5 and the three memcacheds behind it | 12.2, 7.1 | 9.9, 6.5 | the same |
//!
//! memcached sends each answer of text by a system call of its own, but not those of one line. Against it: with several keys,
//! a miss is the absence of a value, so an answer that is out of step looks like misses. One error, one slow value and one
//! deadline would be those of all keys in the line, which are of different requests. So there is one key in each line.

pub(super) mod check;
pub(super) mod command;
pub(super) mod decode;
pub(super) mod encode;
pub(super) mod hit;

/// The end of a value: its line end, and the end of the answer to a get of one key.
pub(super) const VALUE_END: &[u8] = b"\r\nEND\r\n";
