//! The work of an operation: on a key, or on a server.

use super::request::{Direction, ServerVerb, Ttl, Verb};

/// The work of an operation.
#[derive(Debug)]
pub(crate) enum Work {
    Keyed(Verb),
    Server(ServerVerb),
    /// The store of a counter that is not there, for a count with an initial value, where no command does both.
    Create {
        direction: Direction,
        delta: u64,
        value: u64,
        ttl: Ttl,
    },
    /// An internal operation: restores the expiry of a touched item, see [`Undo`](crate::connection::Undo).
    SetBack {
        life: Ttl,
        again: bool,
    },
}

impl Work {
    pub fn is_write(&self) -> bool {
        match self {
            Work::Keyed(verb) => verb.is_write(),
            Work::Server(verb) => verb.is_write(),
            Work::SetBack { .. } | Work::Create { .. } => true,
        }
    }

    /// See [`ServerVerb::is_alone`].
    pub fn is_alone(&self) -> bool {
        matches!(self, Work::Server(verb) if verb.is_alone())
    }

    /// See [`Verb::compares_on_delete`].
    pub fn compares_on_delete(&self) -> bool {
        matches!(self, Work::Keyed(verb) if verb.compares_on_delete())
    }

    /// Whether it reads an item, and so can hit or miss.
    pub fn is_get(&self) -> bool {
        matches!(self, Work::Keyed(Verb::Get { .. } | Verb::Lease { .. }))
    }

    /// Bytes of the value that it carries.
    pub fn value_len(&self) -> usize {
        match self {
            Work::Keyed(verb) => verb.value_len(),
            Work::Server(_) | Work::Create { .. } | Work::SetBack { .. } => 0,
        }
    }
}
