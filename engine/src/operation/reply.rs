//! What comes back.

use bytes::Bytes;

use crate::operation::error::Error;

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
    /// The answer of a lease get.
    Lease(Lease),
    /// What is known of an item.
    Metadata(Metadata),
    /// What became of each key of a batch, in their order.
    Many(Vec<Part>),
    /// The text of a `version`; the lines of `stats`, each `name value` and a line feed.
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

/// What became of one key of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its answer.
    pub answer: Answer,
    /// See [`Completion::stand_in`](crate::Completion::stand_in).
    pub stand_in: bool,
}

/// The answer of a lease get: who makes the item.
///
/// An empty item that another caller was told to make anew before it expires cannot be told from one that is missing:
/// it is taken for missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Nobody has to: it is there, and good.
    Hit(Item),
    /// The caller has to, and nobody else was told so. It stores the item with this version, or hands the lease back
    /// by marking that version as stale once more, or by deleting it where there was none.
    Won {
        /// The version to replace.
        cas: u64,
        /// What can be used until then, if there is anything.
        old: Option<Item>,
        /// Whether that was marked as stale; if not, it is good until it expires.
        stale: bool,
    },
    /// Somebody else was told to.
    Lost {
        /// The version of what is there: of the place that the other one was told to fill, or of the stale item. 0: it is
        /// not known, as the lease get has waited in vain.
        cas: u64,
        /// The stale item that can be used meanwhile, if there is one.
        old: Option<Item>,
    },
}

/// What is known of an item without reading it.
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
    /// Whether somebody was told to make it anew.
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
