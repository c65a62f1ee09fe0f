//! What comes back.

use bytes::Bytes;

use crate::error::Error;

/// The answer of an operation: what the server said, or why there is no answer.
pub type Answer = Result<Outcome, Error>;

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The item of a get.
    Item(Item),
    /// Stored, deleted or touched.
    Done,
    /// There is no such item.
    Miss,
    /// The condition of an add, replace, append or prepend did not hold.
    NotStored,
    /// The item has another version than the one compared with.
    Exists,
    /// The counter's new value.
    Number(u64),
    /// The text of a `version`.
    Text(Bytes),
}

/// An item as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The value, a counted slice of the buffer that it was received in.
    pub value: Bytes,
    /// What was stored with it.
    pub flags: u32,
    /// Its version, for compare-and-swap; never 0.
    pub cas: u64,
}

/// Values up to this many bytes are copied by [`keep`].
pub const KEEP_COPIES: usize = 1024;

/// Takes a received value along for longer than the current turn.
///
/// A value is a slice of a read buffer of 16 KiB or more. A large one is kept as it is; a small one is copied, so that
/// a slow client that waits for 100 bytes does not pin 16 KiB.
pub fn keep(value: &Bytes) -> Bytes {
    if value.len() <= KEEP_COPIES {
        Bytes::copy_from_slice(value)
    } else {
        value.clone()
    }
}
