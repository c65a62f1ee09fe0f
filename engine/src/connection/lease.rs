//! Leases, and other side effects of lookups.
//!
//! memcached gives the lease on a stale item to the first request for the item, even to a plain get. A client that
//! gets a lease and does not make the item has to hand the lease back. Otherwise nobody makes the item until the mark
//! expires.
//!
//! memcached also touches stale items and empty items of leases. A touch that finds no usable item must not prolong
//! their life: it is set back to what it was.

use crate::limits::PLACE_LIFE;
use crate::operation::key::Key;
use crate::operation::reply::{Item, Lease};
use crate::operation::request::Ttl;
use crate::protocol::expect::Expect;
use crate::protocol::line::{Code, Head};

/// A lookup's side effect on an item that is a miss, or cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SideEffect {
    pub key: Key,
    pub undo: Undo,
}

/// The way to undo a side effect.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    /// The request got the lease on a stale item with this version. The item is marked as stale again, with its former
    /// life if that was changed. If the version is gone, there is nothing to hand back.
    Mark { cas: u64, life: Option<Ttl> },
    /// The request got the lease on a missing item. The empty item is deleted.
    Remove { cas: u64 },
    /// The request has touched an item whose lease another client has. No command touches one version only, so this may
    /// find a new item. Then the life of that is set back once more, with `again`.
    Life { life: Ttl, again: bool },
}

impl SideEffect {
    /// The side effect that has to be undone. `wanted`: an operation waits for the answer. `usable`: an item that comes
    /// with it can be delivered. `key`: the request's key, if it was sent encoded.
    ///
    /// memcached gives leases only with replies to lookups. In other replies, the flag means nothing: otherwise a
    /// server could keep the client busy by granting a lease to each request that hands one back. In the same way, the
    /// client sets a life back twice at most.
    pub fn of(expect: Expect, wanted: bool, key: Option<&Key>, line: &Head<'_>, usable: bool) -> Option<Self> {
        // The lease of an item that is about to expire cannot be handed back. This is harmless: the item can be used
        // until it expires, and the next miss has a new lease.
        let is_item = matches!(line.code, Code::Value | Code::Done);
        if !expect.is_lookup() || !is_item {
            return None;
        }
        let life = Ttl::remaining(line.ttl);
        let undo = match expect {
            Expect::Lease if wanted && usable => return None,
            expect if line.won && line.stale => Undo::Mark { cas: line.cas, life: expect.touches().then_some(life) },
            _ if line.won && line.is_vacant() => Undo::Remove { cas: line.cas },
            Expect::Gat | Expect::Touch if line.is_hidden() => {
                // The empty item of a lease always expires. Another client has touched it at the same time, and its
                // former life is unknown.
                let of_place = (!line.stale).then_some(PLACE_LIFE);
                Undo::Life { life: Ttl::remaining(line.ttl.or(of_place)), again: false }
            }
            Expect::SetBack if !line.is_hidden() => Undo::Life { life, again: true },
            _ => return None,
        };
        let key = match key {
            Some(key) => key.clone(),
            None => Key::from_wire(line.key?, line.binary)?,
        };
        Some(SideEffect { key, undo })
    }
}

/// The answer of a lease get.
pub(super) fn answer(line: &Head<'_>, item: Item) -> Lease {
    let cas = item.cas;
    let old = (!line.is_vacant()).then_some(item);
    match (line.won, old) {
        (true, old) => Lease::Won { cas, stale: line.stale, old },
        (false, Some(item)) if !line.stale => Lease::Hit(item),
        (false, old) => Lease::Lost { cas, old },
    }
}
