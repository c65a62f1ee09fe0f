//! The expected reply to a request.

use crate::operation::reply::{Metadata, Outcome};
use crate::operation::request::{DiscoverBy, ServerVerb, StoreMode, Verb};
use crate::operation::work::Work;
use crate::protocol::line::{Code, Head, Malformed};

/// The kind of reply that a request expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    Get,
    /// A get that sets the expiry as well.
    Gat,
    Lease,
    Inspect,
    /// A store that may compare a version.
    Set,
    /// A store with another condition.
    Conditional,
    /// A delete, or a mark as stale.
    Delete,
    Count,
    Touch,
    /// The client's own touch, see [`Undo::Life`](crate::connection::Undo), and the one that no other follows.
    SetBack,
    SetBackAgain,
    Noop,
    Version,
    Stats,
    FlushAll,
    Discover(DiscoverBy),
    /// No reply: the request was given up before it was encoded.
    Nothing,
}

impl From<&Work> for Expect {
    fn from(work: &Work) -> Self {
        match work {
            Work::Server(ServerVerb::Noop) => Expect::Noop,
            Work::Server(ServerVerb::Version) => Expect::Version,
            Work::Server(ServerVerb::Stats) => Expect::Stats,
            Work::Server(ServerVerb::FlushAll { .. }) => Expect::FlushAll,
            Work::Server(ServerVerb::Discover { by }) => Expect::Discover(*by),
            Work::Create { .. } => Expect::Conditional,
            Work::SetBack { again: false, .. } => Expect::SetBack,
            Work::SetBack { again: true, .. } => Expect::SetBackAgain,
            Work::Keyed(verb) => match verb {
                Verb::Get { touch: None } => Expect::Get,
                Verb::Get { touch: Some(_) } => Expect::Gat,
                Verb::Lease { .. } => Expect::Lease,
                Verb::Inspect => Expect::Inspect,
                Verb::Store { mode: StoreMode::Set, .. } | Verb::Store { cas: 1.., .. } => Expect::Set,
                Verb::Store { .. } => Expect::Conditional,
                Verb::Delete { .. } | Verb::Invalidate { .. } => Expect::Delete,
                Verb::Count { .. } => Expect::Count,
                Verb::Touch { .. } => Expect::Touch,
            },
        }
    }
}

impl Expect {
    /// Whether a value of announced length is possible.
    #[inline]
    pub fn takes_value(self) -> bool {
        matches!(self, Expect::Get | Expect::Gat | Expect::Lease | Expect::Count | Expect::Discover(_))
    }

    /// Whether it reads an item without a lease.
    #[inline]
    pub fn is_get(self) -> bool {
        matches!(self, Expect::Get | Expect::Gat)
    }

    /// Whether it sets the life of any item that it finds, usable or not.
    pub fn touches(self) -> bool {
        matches!(self, Expect::Gat | Expect::Touch | Expect::SetBack | Expect::SetBackAgain)
    }

    /// Whether it is an `mg`: a hit has to name the key, and may bring a lease.
    pub fn is_lookup(self) -> bool {
        self.is_get() || self.touches() || matches!(self, Expect::Lease | Expect::Inspect)
    }

    /// Whether it has a key.
    pub fn is_keyed(self) -> bool {
        !matches!(self, Expect::Noop | Expect::Version | Expect::Stats | Expect::FlushAll | Expect::Discover(_))
    }

    /// Whether request and reply are those of text in every dialect.
    #[inline]
    pub fn is_text(self) -> bool {
        matches!(self, Expect::Discover(_))
    }

    /// Whether the request carries a value. A server that refuses the request may read the value as requests.
    pub fn has_body(self) -> bool {
        matches!(self, Expect::Set | Expect::Conditional)
    }

    /// The outcome, if the line is an answer to such a request. The value of a `VA` comes later.
    pub fn outcome(self, line: &Head<'_>) -> Result<Outcome, Malformed> {
        match (self, line.code) {
            // The empty item of a lease is a miss.
            (Expect::Touch | Expect::Inspect, Code::Done) if line.is_vacant() => Ok(Outcome::Miss),
            // A stale item is a miss for all but lease gets.
            (Expect::Touch, Code::Done) if line.stale => Ok(Outcome::Miss),
            (Expect::Inspect, Code::Done) => Ok(Outcome::Metadata(metadata(line))),
            (Expect::SetBack | Expect::SetBackAgain, Code::Done) => Ok(Outcome::Done),
            (Expect::SetBack | Expect::SetBackAgain, Code::Miss) => Ok(Outcome::Miss),
            (Expect::Get | Expect::Gat | Expect::Touch | Expect::Inspect, Code::Miss) => Ok(Outcome::Miss),
            (Expect::Touch | Expect::Set | Expect::Conditional | Expect::Delete, Code::Done) => Ok(Outcome::Done),
            // A set misses only if it compares a version.
            (Expect::Set | Expect::Delete | Expect::Count | Expect::Touch, Code::NotFound) => Ok(Outcome::Miss),
            (Expect::Set | Expect::Conditional | Expect::Count, Code::NotStored) => Ok(Outcome::NotStored),
            (Expect::Set | Expect::Delete | Expect::Count, Code::Exists) => Ok(Outcome::Exists),
            _ => Err(Malformed::Syntax),
        }
    }
}

fn metadata(line: &Head<'_>) -> Metadata {
    Metadata {
        size: line.size,
        flags: line.flags,
        cas: line.cas,
        ttl: line.ttl,
        idle: line.idle,
        fetched: line.fetched,
        stale: line.stale,
        leased: line.won || line.leased,
    }
}
