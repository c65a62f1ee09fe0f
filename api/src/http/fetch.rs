//! Items that one of all callers makes.

#![forbid(unsafe_code)]

mod lock;

use std::fmt;
use std::time::{Duration, Instant};

use self::lock::Turn;
use crate::client::Client;
use crate::error::Error;
use crate::error::Fault;
use crate::operation::cas::Cas;
use crate::operation::item::Item;
use crate::operation::lease::Lease;
use crate::operation::lease::Won;
use crate::operation::params::{Params, MAX_RELATIVE};
use crate::operation::ttl::Ttl;
use crate::operation::value::FromValue;
use crate::operation::value::IntoValue;
use crate::sys;

/// How fresh an item that is [fetched](Client::fetch) has to be, and when it is made anew.
///
/// ```
/// use ngx_memcache::{Freshness, Seconds};
///
/// // Lives for a minute; is made anew when somebody asks for it in its last ten seconds.
/// let page = Freshness::secs(60).refresh_ahead(10);
/// // Making it may take as long as a minute.
/// let report = Freshness::secs(3600).compute_within(60.secs());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Freshness {
    ttl: Ttl,
    ahead: u32,
    within: Duration,
    fail_when_down: bool,
}

/// What a computation may take if nothing else is said.
const WITHIN: Duration = Duration::from_secs(10);

impl Freshness {
    /// The item lives so long from when it was made.
    pub fn new(ttl: impl Into<Ttl>) -> Self {
        Freshness { ttl: ttl.into(), ahead: 0, within: WITHIN, fail_when_down: false }
    }

    /// The same in seconds; 0 is one second.
    pub fn secs(ttl: u32) -> Self {
        Self::new(Duration::from_secs(ttl.into()))
    }

    /// In the last so many seconds of the item's life (at most 30 days), one caller makes it anew, and the others get the item
    /// that is there. Without this, all wait when the item has expired.
    ///
    /// The value must not be empty: an empty one is taken for missing while it is made anew.
    pub fn refresh_ahead(mut self, secs: u32) -> Self {
        self.ahead = secs.min(MAX_RELATIVE);
        self
    }

    /// How long making the item may take: whole seconds, rounded up, at least one and at most 30 days; 10 seconds without this.
    /// The other callers wait as long (or for `memcache_timeout`, if that is longer). If the process that makes the item is
    /// killed, another caller is told to make it after this time. If making it fails, panics or is dropped, the next caller is
    /// told at once.
    pub fn compute_within(mut self, time: Duration) -> Self {
        self.within = time.clamp(Duration::from_secs(1), Duration::from_secs(MAX_RELATIVE.into()));
        self
    }

    /// Fails when memcached does not answer, instead of making the item for this caller alone. For items that cost
    /// more than what all callers together can afford.
    pub fn fail_when_down(mut self) -> Self {
        self.fail_when_down = true;
        self
    }
}

/// An item that was [fetched](Client::fetch): from memcached, or made just now.
pub struct Fetched {
    pub(crate) held: Held,
    source: Source,
}

pub(crate) enum Held {
    Item(Item),
    Made { bytes: Vec<u8>, flags: u32 },
}

/// Where an item comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// From memcached.
    Cache,
    /// From memcached, where it was [marked as stale](Client::invalidate): somebody else makes it anew.
    Stale,
    /// It was made, and stored for the others.
    Made,
    /// It was made, and not stored: memcached did not answer, or refused it, or another caller stored or deleted the item
    /// meanwhile, or the caller who was to make it took too long.
    MadeAlone,
}

impl Fetched {
    /// The value, as it is stored.
    pub fn value(&self) -> &[u8] {
        match &self.held {
            Held::Item(item) => item.value(),
            Held::Made { bytes, .. } => bytes,
        }
    }

    /// What is stored with the value.
    pub fn flags(&self) -> u32 {
        match &self.held {
            Held::Item(item) => item.flags(),
            Held::Made { flags, .. } => *flags,
        }
    }

    /// Where it comes from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The value as a type of Rust, as [`Item::decode`].
    pub fn decode<T: FromValue>(&self) -> Result<T, Error> {
        T::from_value(self.value(), self.flags())
    }

    fn item(item: Item, source: Source) -> Self {
        Fetched { held: Held::Item(item), source }
    }

    fn made(bytes: Vec<u8>, flags: u32, source: Source) -> Self {
        Fetched { held: Held::Made { bytes, flags }, source }
    }
}

impl AsRef<[u8]> for Fetched {
    fn as_ref(&self) -> &[u8] {
        self.value()
    }
}

/// Shows how much it is, not what: values may be secrets.
impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("bytes", &self.value().len())
            .field("flags", &self.flags())
            .field("source", &self.source)
            .finish()
    }
}

impl Client {
    /// Reads an item, or makes it if it is missing. One of all callers makes it, in all workers and on all machines. The others
    /// wait for it, or use the old one meanwhile.
    ///
    /// Only that one calls `compute`. It is a part of this future: it goes on only while this is polled. Its result is stored with
    /// [`Freshness`]'s ttl, and all callers get it. Callers in the same worker have it in the turn of the event loop in which it
    /// is stored. Other workers look for it every 25 to 400 milliseconds.
    ///
    /// - **`compute` fails**, panics, or this future is dropped before it is done (the request ended): the next caller is told at
    ///   once to make the item. This caller gets the error, or, if it was to [refresh](Freshness::refresh_ahead) an item that is
    ///   still good, that item.
    /// - **memcached does not answer** within `memcache_timeout`, is down, or has too much to do: `compute` is called for
    ///   this caller alone, and nothing is stored. With [`fail_when_down`](Freshness::fail_when_down) this fails.
    /// - **`compute` takes too long**, or its process was killed: after [`compute_within`](Freshness::compute_within) another
    ///   caller is told to make the item.
    /// - **The item expires while it is [refreshed](Freshness::refresh_ahead)**: nothing is stored, and this caller has its own item,
    ///   which is [`Source::MadeAlone`](crate::Source::MadeAlone).
    /// - **The item is [invalidated](Client::invalidate)**: one caller makes it, and all others get the old one, which is
    ///   [`Source::Stale`](crate::Source::Stale). If that cannot be used, delete items instead.
    /// - **The item is stored, deleted or invalidated while it is made**: that change stays, and this caller has its own item.
    ///
    /// **On a server that speaks text** (`memcache_protocol`) there are no leases. There, a *lock* tells who makes the item: an item
    /// with `!lock:` before the key. (If that is too long, the last 22 bytes of the key are replaced by a hash.) No key of an item
    /// may begin so. What is different:
    ///
    /// - Nothing is refreshed ahead: all wait when the item has expired. There are no stale items.
    /// - Callers in the same worker look for the item every 25 to 400 milliseconds, too, each for itself.
    /// - The item is added. One that others have stored meanwhile stays. If others have deleted it, it is there again.
    /// - The lock may belong to another server than the item. While that server is down, each caller that misses the item makes it;
    ///   with `fail_when_down` this fails. The same holds behind a proxy.
    /// - After `compute_within`, the lock lives for up to one second more. Callers that have waited as long make the item, too, and
    ///   the first one stores it.
    /// - Each call counts as `unsupported` in the status, as it asks for a lease first, which is not sent.
    ///
    /// The error type of `compute` is any that can be made from an [`Error`].
    ///
    /// ```no_run
    /// # use ngx_memcache::{Client, Error, Fetched, Freshness};
    /// # async fn render(id: u64) -> Result<String, Error> { Ok(String::new()) }
    /// async fn page(mc: Client, id: u64) -> Result<Fetched, Error> {
    ///     mc.fetch(format!("page:{id}"), Freshness::secs(60).refresh_ahead(10), || render(id)).await
    /// }
    /// ```
    pub async fn fetch<'v, K, V, E>(
        &self,
        key: K,
        freshness: Freshness,
        compute: impl AsyncFnOnce() -> Result<V, E>,
    ) -> Result<Fetched, E>
    where
        K: AsRef<[u8]>,
        V: IntoValue<'v>,
        E: From<Error>,
    {
        fetch(*self, key.as_ref(), freshness, compute).await
    }
}

async fn fetch<'v, V: IntoValue<'v>, E: From<Error>>(
    client: Client,
    key: &[u8],
    freshness: Freshness,
    compute: impl AsyncFnOnce() -> Result<V, E>,
) -> Result<Fetched, E> {
    match lease(client, key, freshness).await {
        Ok(Lease::Hit(item)) => Ok(Fetched::item(item, Source::Cache)),
        Ok(Lease::Lost { old: Some(item), .. }) => Ok(Fetched::item(item, Source::Stale)),
        Ok(Lease::Won(won)) => Holder::new(client, key, won).make(freshness, compute).await,
        Err(Error::Unsupported(_)) => by_lock(client, key, freshness, compute).await,
        Err(error) if freshness.fail_when_down || error.fault() == Fault::Caller => Err(error.into()),
        Ok(Lease::Lost { old: None, .. }) | Err(_) => alone(compute).await,
    }
}

/// Makes the item for this caller.
async fn alone<'v, V: IntoValue<'v>, E: From<Error>>(
    compute: impl AsyncFnOnce() -> Result<V, E>,
) -> Result<Fetched, E> {
    let (bytes, flags) = compute().await?.into_value()?;
    Ok(Fetched::made(bytes.into_owned(), flags, Source::MadeAlone))
}

/// The same as [`fetch`], on a server without leases.
async fn by_lock<'v, V: IntoValue<'v>, E: From<Error>>(
    client: Client,
    key: &[u8],
    freshness: Freshness,
    compute: impl AsyncFnOnce() -> Result<V, E>,
) -> Result<Fetched, E> {
    let fails = |error: &Error| freshness.fail_when_down || error.fault() == Fault::Caller;
    // It is deleted when it is dropped, whatever comes of this.
    let _lock = match lock::turn(client, key, freshness.within).await {
        Ok(Turn::Found(item)) => return Ok(Fetched::item(item, Source::Cache)),
        Ok(Turn::Locked(lock)) => Some(lock),
        Err(error) | Ok(Turn::Unlocked(error)) if fails(&error) => return Err(error.into()),
        Ok(Turn::Unlocked(_) | Turn::Late) => None,
        Err(_) => return alone(compute).await,
    };
    let (bytes, flags) = compute().await?.into_value()?;
    let stored = client.add(key, &*bytes).flags(flags).ttl(freshness.ttl).await;
    let source = if stored == Ok(true) { Source::Made } else { Source::MadeAlone };
    Ok(Fetched::made(bytes.into_owned(), flags, source))
}

/// The first answer has to be there within `memcache_timeout`, as always. Only who is told to wait waits for longer.
async fn lease(client: Client, key: &[u8], freshness: Freshness) -> Result<Lease, Error> {
    let start = Instant::now();
    let lease = || client.lease(key, freshness.within).recache(Duration::from_secs(freshness.ahead.into())).wait();

    let answer = lease().await?;
    if let Lease::Lost { old: None, .. } = answer {
        let left = freshness.within.saturating_sub(start.elapsed());
        if !left.is_zero() {
            return lease().timeout(left).await;
        }
    }
    Ok(answer)
}

/// Somebody who was told to make the item. Hands the lease back when it is dropped, unless that was done.
struct Holder<'k> {
    client: Client,
    key: &'k [u8],
    won: Won,
    stored: bool,
}

impl<'k> Holder<'k> {
    fn new(client: Client, key: &'k [u8], won: Won) -> Self {
        Holder { client, key, won, stored: false }
    }

    async fn make<'v, V: IntoValue<'v>, E: From<Error>>(
        mut self,
        freshness: Freshness,
        compute: impl AsyncFnOnce() -> Result<V, E>,
    ) -> Result<Fetched, E> {
        let (bytes, flags) = match compute().await {
            Ok(value) => value.into_value()?,
            Err(error) => return self.fall_back(error),
        };
        let store = self.client.set(self.key, &*bytes).flags(flags).ttl(freshness.ttl).cas(self.won.cas);
        let source = match store.await {
            Ok(outcome) => {
                // Whatever the outcome was, nobody waits for this lease any more.
                self.stored = true;
                if outcome == Cas::Applied {
                    Source::Made
                } else {
                    Source::MadeAlone
                }
            }
            Err(_) => Source::MadeAlone,
        };
        Ok(Fetched::made(bytes.into_owned(), flags, source))
    }

    /// It could not be made. An item that is not stale is good until it expires.
    fn fall_back<E>(mut self, error: E) -> Result<Fetched, E> {
        match self.won.old.take_if(|_| !self.won.stale) {
            Some(item) => {
                self.stored = true;
                Ok(Fetched::item(item, Source::Cache))
            }
            None => Err(error),
        }
    }
}

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        if self.stored {
            return;
        }
        let number = match (self.won.stale, &self.won.old) {
            (true, _) => sys::NGX_HTTP_MEMCACHE_INVALIDATE,
            (false, None) => sys::NGX_HTTP_MEMCACHE_DELETE,
            // It ends with the item.
            (false, Some(_)) => return,
        };
        let mut params = Params::new(number);
        params.cas = self.won.cas;
        self.client.submit_and_forget(self.key, &params);
    }
}
