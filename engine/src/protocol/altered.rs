//! Replies that differ from a usual one by a byte, for the tests of the code that reads it.

use proptest::prelude::*;

/// The reply itself, or the reply with one byte added, removed or replaced in its first `len` bytes. The new byte is one of
/// `bytes`.
#[allow(clippy::indexing_slicing)]
pub(super) fn altered(reply: &'static [u8], len: usize, bytes: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    (0..len, 0..4, proptest::sample::select(bytes)).prop_map(move |(at, how, byte)| {
        let mut reply = reply.to_vec();
        match how {
            0 => reply.insert(at, byte),
            1 => drop(reply.remove(at)),
            2 => reply[at] = byte,
            _ => {}
        }
        reply
    })
}
