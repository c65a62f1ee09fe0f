//! Changes of an item that a read finds.
//!
//! memcached keeps items that no read finds: stale ones, and the empty item of a lease. Commands that
//! change an item do not check this: an append would make a stale value readable again. So the item is inspected first,
//! and then that version is changed. If a read finds nothing, nothing is changed.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use ngx_memcache::http;
use ngx_memcache::{Cas, Client, Error, Lease, Metadata, Seconds, Ttl};

use crate::lease::Held;

/// The number of attempts, if the version has changed each time.
const TRIES: u32 = 20;
/// The longest pause between two attempts, in milliseconds.
const MAX_PAUSE: u64 = 64;

/// A value to be stored.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    pub value: &'a [u8],
    pub flags: u32,
    pub ttl: Ttl,
}

/// An item that a read would find.
#[derive(Clone, Copy)]
pub struct Seen {
    pub cas: u64,
    pub size: usize,
}

/// Looks at what a read would find. A server that has no metadata has neither stale items nor leases: there it is read.
async fn look(mc: &Client, key: &[u8]) -> Result<Option<Seen>, Error> {
    match mc.inspect(key).await {
        Err(Error::Unsupported(_)) => {
            let item = mc.get(key).await?;
            Ok(item.map(|item| Seen { cas: item.cas(), size: item.value().len() }))
        }
        about => Ok(about?.filter(|about| !about.stale).map(|Metadata { cas, size, .. }| Seen { cas, size })),
    }
}

/// Whether a read would find an item, perhaps one that is too large to be read. A server that has no metadata compares no
/// versions in an append, so several at once may make such an item there.
pub async fn is_there(mc: &Client, key: &[u8]) -> Result<bool, Error> {
    match mc.found(key).await {
        Err(Error::ItemTooLarge) => Ok(true),
        found => Ok(found?.is_some()),
    }
}

/// The result of changing one version.
pub type Changed<T> = Result<Result<T, Cas>, Error>;

/// Changes the item that a read would find; `None`: there is none.
///
/// `once` gets the item's version and size, and changes that version. If the version has changed meanwhile, this tries again after a
/// random pause. After too many attempts the result is busy.
pub async fn found_one<T>(mc: &Client, key: &[u8], once: impl AsyncFn(Seen) -> Changed<T>) -> Result<Option<T>, Error> {
    for attempt in 0..TRIES {
        let Some(seen) = look(mc, key).await? else { return Ok(None) };
        match once(seen).await? {
            Ok(done) => return Ok(Some(done)),
            Err(Cas::Missing) => return Ok(None),
            Err(_) => http::sleep(pause(attempt)).await,
        }
    }
    Err(Error::Busy)
}

/// At random, and longer with each attempt.
fn pause(attempt: u32) -> Duration {
    let longest = 1_u64.checked_shl(attempt).map_or(MAX_PAUSE, |millis| millis.min(MAX_PAUSE));
    Duration::from_millis(RandomState::new().hash_one(attempt).checked_rem(longest).unwrap_or(0))
}

/// The outcome of an operation on one version.
pub fn swapped(cas: Cas) -> Result<(), Cas> {
    match cas {
        Cas::Applied => Ok(()),
        other => Err(other),
    }
}

/// The same for any version, for memcached 1.6.10 to 1.6.12, which do not compare versions in a delete.
pub fn done(done: bool) -> Result<(), Cas> {
    done.then_some(()).ok_or(Cas::Missing)
}

/// Stores an item if a read would find none. Returns whether it did.
///
/// A lease returns the version of an item that no read finds.
pub async fn create(mc: &Client, key: &[u8], content: Content<'_>) -> Result<bool, Error> {
    let Content { value, flags, ttl } = content;
    for attempt in 0..TRIES {
        if mc.add(key, value).flags(flags).ttl(ttl).await? {
            return Ok(true);
        }
        if is_there(mc, key).await? {
            return Ok(false);
        }
        let lease = match mc.lease(key, 1.secs()).await {
            // Without leases nothing is there that is not found: it was there a moment ago.
            Err(Error::Unsupported(_)) => continue,
            lease => lease?,
        };
        let (version, held) = match lease {
            Lease::Hit(_) => return Ok(false),
            Lease::Won(won) => (won.cas, Some(Held::new(*mc, key, won))),
            Lease::Lost { cas, .. } => (cas, None),
        };
        if mc.set(key, value).flags(flags).ttl(ttl).cas(version).await? == Cas::Applied {
            if let Some(held) = held {
                held.passed_on();
            }
            return Ok(true);
        }
        http::sleep(pause(attempt)).await;
    }
    Err(Error::Busy)
}
