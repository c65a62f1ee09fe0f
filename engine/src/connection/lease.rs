//! Leases: who makes an item anew.
//!
//! memcached appoints the first who asks for an item that is stale, whatever it was that asked and whether or not that
//! knows of leases: a plain get is appointed too. Whoever is appointed and does not make the item has to hand the lease
//! back, or nobody makes it until the mark expires.
//!
//! And memcached touches whatever is there. What was not there for whoever has touched it must not live longer for that:
//! its life is set back to what it was.

use crate::limits::PLACE_LIFE;
use crate::operation::key::Key;
use crate::operation::reply::{Item, Lease};
use crate::operation::request::Ttl;
use crate::protocol::expect::Expect;
use crate::protocol::line::{Code, Head};

/// What a lookup has done to what it does not find, or cannot use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SideEffect {
    pub key: Key,
    pub undo: Undo,
}

/// How that is undone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    /// It was given the lease on a stale item of this version: that is marked as stale again, with the life that it had
    /// if that was changed. Once the version is gone there is nothing to hand back.
    Mark { cas: u64, life: Option<Ttl> },
    /// It was given the lease on a missing item: the place is removed.
    Remove { cas: u64 },
    /// It has set the life of what somebody else has the lease on. There is no command that does so to one version, so
    /// it may be a new item that is found there: then that has its life set back once more, `again`.
    Life { life: Ttl, again: bool },
}

impl SideEffect {
    /// The lease that this line brings, if its request cannot use it. `wanted`: somebody waits for the answer; `usable`: an
    /// item that comes with it can be delivered; `key`: that of the request, if it is sent encoded.
    ///
    /// A lease comes only with the answer to what memcached appoints somebody for: something that reads an item, or asks
    /// about it. What is said in the answer to anything else, to what hands a lease back above all, means nothing: a
    /// server must not be able to keep the client busy by itself. The same holds for what was touched: what sets a life
    /// back follows twice at most.
    pub fn of(expect: Expect, wanted: bool, key: Option<&Key>, line: &Head<'_>, usable: bool) -> Option<Self> {
        // The lease of an item that is about to expire cannot be handed back. It does no harm either: the item is good
        // until it expires, and then there is a new one.
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
                // No lease is for ever: somebody else has touched its place at the same time, and nobody knows what it had.
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
