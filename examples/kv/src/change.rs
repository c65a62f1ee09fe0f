//! Changing what a read finds.
//!
//! memcached keeps things that no read finds: an item that was marked as stale, and the empty place of one that somebody
//! was told to make. For its commands that change an item both are items: an append would make a stale value readable
//! again. None of these commands can look at the mark, so the item is looked at first, and then the version that was seen
//! is changed. Where a read finds nothing, nothing is changed.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use ngx_memcache::http;
use ngx_memcache::{Cas, Client, Error, Lease, Metadata, Seconds, Ttl};

use crate::lease::Held;

/// So often a version is tried that turns out to be gone.
const TRIES: u32 = 20;
/// The longest pause between two of them, in milliseconds.
const MAX_PAUSE: u64 = 64;

/// A value to be stored.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    pub value: &'a [u8],
    pub flags: u32,
    pub ttl: Ttl,
}

/// What a change of one version has come to.
pub type Changed<T> = Result<Result<T, Cas>, Error>;

/// Changes what a read would find; `None`: that is nothing.
///
/// `once` is told what is known of it, and changes that version. Where that is gone, others change the item as well, and
/// all of them look again, each after a time of its own. It is busy where that does not help.
pub async fn found_one<T>(
    mc: &Client,
    key: &[u8],
    once: impl AsyncFn(Metadata) -> Changed<T>,
) -> Result<Option<T>, Error> {
    for attempt in 0..TRIES {
        let Some(about) = mc.inspect(key).await?.filter(|about| !about.stale) else { return Ok(None) };
        match once(about).await? {
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

/// The same of one on whatever version there is, for memcached 1.6.10 to 1.6.12, which compare none where they delete.
pub fn done(done: bool) -> Result<(), Cas> {
    done.then_some(()).ok_or(Cas::Missing)
}

/// Stores an item where a read would find none: whether it did.
///
/// To find out the version of what no read finds is to ask for a lease on it.
pub async fn create(mc: &Client, key: &[u8], content: Content<'_>) -> Result<bool, Error> {
    let Content { value, flags, ttl } = content;
    for attempt in 0..TRIES {
        if mc.add(key, value).flags(flags).ttl(ttl).await? {
            return Ok(true);
        }
        if mc.found(key).await?.is_some() {
            return Ok(false);
        }
        let (version, held) = match mc.lease(key, 1.secs()).await? {
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
