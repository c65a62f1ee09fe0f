//! Leases on items, and what memcached knows of an item.

#![forbid(unsafe_code)]

use std::time::Duration;

use crate::error::Error;
use crate::operation::call::Reply;
use crate::operation::item::Item;
use crate::sys;

/// The answer of [`Client::lease`](crate::Client::lease): the item, and whether the caller makes it anew.
#[derive(Debug)]
#[must_use = "whoever has won the lease makes the item, or hands the lease back"]
pub enum Lease {
    /// It is there, and nobody has to make it.
    Hit(Item),
    /// The caller makes it, and nobody else was told to.
    Won(Won),
    /// Somebody else was told to make it.
    Lost {
        /// The stale item, if there is one: it can be used meanwhile.
        old: Option<Item>,
        /// The version of what is there, the stale item or the place of one that is missing: what stores over it takes the
        /// lease away from whoever was given it. 0, which is no version, where this has [waited](crate::Operation::wait)
        /// in vain.
        cas: u64,
    },
}

/// A lease: store the item with its [`cas`](Won::cas), or [hand it back](crate::Client::hand_back). Otherwise nobody
/// else makes the item before the lease ends.
#[derive(Debug)]
#[non_exhaustive]
pub struct Won {
    /// The version to replace, by [`set`](crate::Client::set) with [`cas`](crate::Operation::cas). The answer
    /// [`Changed`](crate::Cas::Changed) or [`Missing`](crate::Cas::Missing) says that somebody else stored, marked or
    /// deleted the item meanwhile: leave it alone then. It is as good as the server's process: see [`Cas`](crate::Cas).
    pub cas: u64,
    /// What can be used until the new item is there, if there is anything.
    pub old: Option<Item>,
    /// The old item was marked as stale. If not, it is good until it expires.
    pub stale: bool,
}

/// What is known of an item: the answer of [`Client::inspect`](crate::Client::inspect).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// Bytes of the value.
    pub size: usize,
    /// What was stored with the value.
    pub flags: u32,
    /// The version, for compare-and-swap.
    pub cas: u64,
    /// How long it will live; `None`: it does not expire.
    pub ttl: Option<Duration>,
    /// How long ago it was last used.
    pub idle: Duration,
    /// It was used since it was stored.
    pub fetched: bool,
    /// It was marked as stale.
    pub stale: bool,
    /// Somebody was told to make it anew.
    pub leased: bool,
}

impl Lease {
    pub(crate) fn from_reply(reply: Reply) -> Result<Self, Error> {
        let Reply { status, cas, flags, value, lease, stale, origin, .. } = reply;
        let old = match status {
            sys::NGX_HTTP_MEMCACHE_OK => Some(Item::new(value, flags, cas, origin)),
            sys::NGX_HTTP_MEMCACHE_MISS => None,
            other => return Err(Error::Other(other)),
        };
        match (lease, old) {
            (sys::NGX_HTTP_MEMCACHE_LEASE_NONE, Some(item)) => Ok(Lease::Hit(item)),
            (sys::NGX_HTTP_MEMCACHE_LEASE_WON, old) => Ok(Lease::Won(Won { cas, old, stale })),
            (sys::NGX_HTTP_MEMCACHE_LEASE_LOST, old) => Ok(Lease::Lost { old, cas }),
            // A defect of the module.
            _ => Err(Error::Other(sys::NGX_HTTP_MEMCACHE_INTERNAL)),
        }
    }
}

impl Metadata {
    pub(crate) fn from_reply(reply: &Reply) -> Self {
        let secs = |secs: u32| Duration::from_secs(secs.into());
        Metadata {
            size: reply.length,
            flags: reply.flags,
            cas: reply.cas,
            ttl: (reply.ttl != sys::NGX_HTTP_MEMCACHE_NEVER).then(|| secs(reply.ttl)),
            idle: secs(reply.idle),
            fetched: reply.fetched,
            stale: reply.stale,
            leased: reply.leased,
        }
    }
}
