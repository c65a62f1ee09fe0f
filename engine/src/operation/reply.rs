//! Answers.

use bytes::Bytes;

use crate::operation::error::Error;

/// The answer of an operation, or the error.
pub type Answer = Result<Outcome, Error>;

/// The answer of a server.
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
    /// The answer of a lease get.
    Lease(Lease),
    /// The metadata of an item.
    Metadata(Metadata),
    /// The answers of a batch, in the order of its keys.
    Many(Vec<Part>),
    /// The text of a `version`; the lines of `stats`, each `name value` and a line feed; the list of a configuration
    /// endpoint.
    Text(Bytes),
}

impl Outcome {
    /// A word for diagnostics.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Item(_) => "item",
            Outcome::Done => "done",
            Outcome::Miss => "miss",
            Outcome::NotStored => "not stored",
            Outcome::Exists => "exists",
            Outcome::Number(_) => "number",
            Outcome::Lease(Lease::Hit(_)) => "item",
            Outcome::Lease(Lease::Won { .. }) => "lease won",
            Outcome::Lease(Lease::Lost { .. }) => "lease lost",
            Outcome::Metadata(_) => "metadata",
            Outcome::Many(_) => "answers",
            Outcome::Text(_) => "text",
        }
    }
}

/// The answer of one key of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its answer.
    pub answer: Answer,
    /// See [`Completion::stand_in`](crate::Completion::stand_in).
    pub stand_in: bool,
}

/// The answer of a lease get.
///
/// An empty item that another caller makes anew before it expires looks like a missing one, and counts as missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// The item exists and is not stale.
    Hit(Item),
    /// The caller has the lease to make the item. It stores the item with this version. To give the lease back, it marks that
    /// version as stale again, or deletes it if there was no item.
    Won {
        /// The version to replace.
        cas: u64,
        /// The item that can be used until then, if there is one.
        old: Option<Item>,
        /// Whether that was marked as stale; if not, it is good until it expires.
        stale: bool,
    },
    /// Another caller has the lease.
    Lost {
        /// The version of the lease's empty item, or of the stale item. 0: it is unknown, as the lease get has waited in vain.
        cas: u64,
        /// The stale item that can be used meanwhile, if there is one.
        old: Option<Item>,
    },
}

/// The metadata of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Bytes of the value.
    pub size: usize,
    /// What was stored with it.
    pub flags: u32,
    /// Its version.
    pub cas: u64,
    /// Seconds until it expires; `None`: it does not.
    pub ttl: Option<u32>,
    /// Seconds since it was last used.
    pub idle: u32,
    /// Whether it was used since it was stored.
    pub fetched: bool,
    /// Whether it was marked as stale.
    pub stale: bool,
    /// Whether a caller has the lease to make it anew.
    pub leased: bool,
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

/// Keeps a received value for longer than the current turn.
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
