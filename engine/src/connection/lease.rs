//! Leases: who makes an item anew.
//!
//! memcached appoints the first who asks for an item that is stale, whatever it was that asked and whether or not that
//! knows of leases: a plain get is appointed too. Whoever is appointed and does not make the item has to hand the lease
//! back, or nobody makes it until the mark expires.

use super::{Expect, Pending};
use crate::operation::key::Key;
use crate::operation::reply::{Item, Lease};
use crate::protocol::meta::decode::{Code, Head};

/// A lease that came to somebody who does not make the item.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stray {
    pub key: Key,
    /// The version that the lease is for; once that is gone there is nothing to hand back.
    pub cas: u64,
    /// There is no item: its place is to be removed. Otherwise it is to be marked as stale again.
    pub vacant: bool,
}

impl Stray {
    /// The lease that this line brings, if its request cannot use it. `usable`: an item that comes with it can be
    /// delivered.
    ///
    /// A lease comes only with the answer to what memcached appoints somebody for: something that reads an item, or asks
    /// about it. What is said in the answer to anything else, to what hands a lease back above all, means nothing: a
    /// server must not be able to keep the client busy by itself.
    pub fn of(pending: &Pending, line: &Head<'_>, usable: bool) -> Option<Self> {
        // The lease of an item that is about to expire cannot be handed back. It does no harm either: the item is good
        // until it expires, and then there is a new one.
        let is_item = matches!(line.code, Code::Value | Code::Done);
        if !pending.expect.is_lookup() || !is_item || !line.won || !(line.stale || line.is_vacant()) {
            return None;
        }
        if pending.expect == Expect::Lease && pending.call.is_some() && usable {
            return None;
        }
        let key = match &pending.key {
            Some(key) => Key::clone(key),
            None => Key::from_wire(line.key?, line.binary)?,
        };
        Some(Stray { key, cas: line.cas, vacant: !line.stale })
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
