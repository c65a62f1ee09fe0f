//! Items that one of all callers makes, on a server without leases: the text protocol has none.
//!
//! Who adds the *lock*, an item beside the item, makes the item, adds it and deletes the lock. The others look for the item, and
//! try to add the lock, at growing intervals. The lock expires if who has it was killed.
//!
//! - The lock's key is the item's behind [`PREFIX`], or a part and a hash of it if that is too long. So it may belong to another
//!   server. It is a prefix, since visitors choose ends of keys rather than beginnings. While that one is down, whoever misses the item makes it.
//! - An item is added, not set: what others have stored meanwhile stays. That others have deleted it cannot be seen.
//! - A lock may be lost: it is evicted, or its server restarts. Then two callers may make the item, and one of them stores it.

#![forbid(unsafe_code)]

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::Error;
#[cfg(not(test))]
use crate::http::detached::spawn_detached;
#[cfg(not(test))]
use crate::http::timer::sleep;
use crate::operation::item::Item;
use crate::operation::params::Params;
use crate::operation::ttl::Ttl;
use crate::sys;

/// What the key of a lock begins with. No key of an item may begin so.
const PREFIX: &[u8] = b"!lock:";
/// Digits of a hash, at the end of one that is shortened.
const DIGITS: usize = 16;

/// The pause before the item is looked for again; it doubles each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Unit tests have no event loop, as at the exit of a worker.
#[cfg(test)]
async fn sleep(_: Duration) {}
#[cfg(test)]
fn spawn_detached(_: impl Future<Output = ()>) -> Result<(), Error> {
    Err(Error::WrongThread)
}

/// What a caller has to do.
pub(super) enum Turn {
    /// To use the item.
    Found(Item),
    /// To make it for all.
    Locked(Lock),
    /// The same, perhaps as one of several, since this is the lock's answer.
    Unlocked(Error),
    /// The same: it has waited long enough.
    Late,
}

/// Looks for the item and the lock, and waits for one of them, no longer than making the item may take.
pub(super) async fn turn(client: Client, key: &[u8], within: Duration) -> Result<Turn, Error> {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(item) = client.get(key).await? {
            return Ok(Turn::Found(item));
        }
        match Lock::take(client, key, within).await {
            Ok(Some(lock)) => {
                // Who had the lock before may have stored the item since it was looked for.
                return Ok(match client.get(key).await? {
                    Some(item) => Turn::Found(item),
                    None => Turn::Locked(lock),
                });
            }
            Ok(None) => {}
            Err(error) => return Ok(Turn::Unlocked(error)),
        }
        let left = within.saturating_sub(start.elapsed());
        // Workers that wait for the same item must not look all at once.
        let time = pause.mul_f64(1.0 - random() / 4.0).min(left);
        let before = Instant::now();
        sleep(time).await;
        // A sleep that ends early says that the worker exits.
        if time == left || before.elapsed() < time.mul_f64(0.5) {
            return Ok(Turn::Late);
        }
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// From 0 to 1.
fn random() -> f64 {
    f64::from(u16::try_from(RandomState::new().hash_one(()) >> 48).unwrap_or_default()) / f64::from(u16::MAX)
}

/// The lock of an item. Dropped, it is deleted: the next caller makes the item at once, whether or not this one could.
pub(super) struct Lock {
    client: Client,
    key: Vec<u8>,
    /// From here on it may be somebody else's.
    until: Instant,
}

/// A lock that is being asked for. If the caller goes away before the answer, it is deleted when it turns out to be ours: it
/// would keep all others waiting.
struct Asking(Option<Pin<Box<dyn Future<Output = Asked>>>>);

/// The lock; `None`: somebody else has it.
type Asked = Result<Option<Lock>, Error>;

impl Future for Asking {
    type Output = Asked;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(asking) = &mut self.0 else { return Poll::Ready(Ok(None)) };
        let answer = asking.as_mut().poll(cx);
        if answer.is_ready() {
            self.0 = None;
        }
        answer
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(asking) = self.0.take() {
            // At the exit of a worker there is nobody to wait for the answer: the lock expires.
            let _ = spawn_detached(async { drop(asking.await) });
        }
    }
}

impl Lock {
    /// `None`: somebody has it.
    async fn take(client: Client, item: &[u8], within: Duration) -> Result<Option<Self>, Error> {
        let until = Instant::now().checked_add(within).unwrap_or_else(Instant::now);
        // memcached counts full seconds: an item may expire up to one too early.
        let ttl = Ttl::from(within.saturating_add(Duration::from_secs(1)));
        let add = |key: Vec<u8>| {
            Asking(Some(Box::pin(async move {
                let added = client.add(&*key, "").ttl(ttl).await?;
                Ok(added.then(|| Lock { client, key, until }))
            })))
        };
        match add([PREFIX, item].concat()).await {
            Err(Error::InvalidKey { .. }) => add(short_key(item)).await,
            lock => lock,
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if Instant::now() < self.until {
            self.client.submit_and_forget(&self.key, &Params::new(sys::NGX_HTTP_MEMCACHE_DELETE));
        }
    }
}

/// A key of a lock that is no longer than the item's.
fn short_key(item: &[u8]) -> Vec<u8> {
    // FNV-1a. Items with the same lock wait for each other.
    let hash = item
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let head = item.len().saturating_sub(PREFIX.len().saturating_add(DIGITS));
    let head = item.get(..head).unwrap_or_default();
    [PREFIX, head, format!("{hash:016x}").as_bytes()].concat()
}
