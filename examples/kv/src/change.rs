//! Changing what a read finds.
//!
//! memcached keeps things that no read finds: an item that was marked as stale, and the empty place of one that somebody
//! was told to make. For its commands that change an item both are items: an append would make a stale value readable
//! again. None of these commands can look at the mark, so the item is looked at first, and then the version that was seen
//! is changed. Where a read finds nothing, nothing is changed.

use ngx_memcache::{Cas, Client, Error, Lease, Metadata, Seconds, Ttl};

/// So often a version is tried that turns out to be gone.
const TRIES: usize = 3;

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
/// `once` is told what is known of it, and its version. Where others change the item that often, all of them count in it for example, or where
/// memcached does not compare versions, it is told no version in the end. Then it changes what is there, as memcached does: also
/// what has been marked as stale since it was looked at.
pub async fn found_one<T>(
    mc: &Client,
    key: &[u8],
    once: impl AsyncFn(Metadata, Option<u64>) -> Changed<T>,
) -> Result<Option<T>, Error> {
    let seen = async || Ok(mc.inspect(key).await?.filter(|about| !about.stale));
    for _ in 0..TRIES {
        let Some(about) = seen().await? else { return Ok(None) };
        match once(about, Some(about.cas)).await {
            Ok(Ok(done)) => return Ok(Some(done)),
            Ok(Err(Cas::Missing)) => return Ok(None),
            Ok(Err(_)) => {}
            Err(Error::Unsupported) => break,
            Err(error) => return Err(error),
        }
    }
    match seen().await? {
        Some(about) => Ok(once(about, None).await?.ok()),
        None => Ok(None),
    }
}

/// The outcome of an operation on one version.
pub fn swapped(cas: Cas) -> Result<(), Cas> {
    match cas {
        Cas::Applied => Ok(()),
        other => Err(other),
    }
}

/// The same of one on whatever version there is.
pub fn done(done: bool) -> Result<(), Cas> {
    done.then_some(()).ok_or(Cas::Missing)
}

/// Stores an item where a read would find none: whether it did.
///
/// To find out the version of what no read finds is to ask for a lease on it.
pub async fn create(mc: &Client, key: &[u8], content: Content<'_>) -> Result<bool, Error> {
    let Content { value, flags, ttl } = content;
    for _ in 0..TRIES {
        if mc.add(key, value).flags(flags).ttl(ttl).await? {
            return Ok(true);
        }
        if mc.found(key).await?.is_some() {
            return Ok(false);
        }
        let lease = mc.lease(key, 1.secs()).await?;
        let version = match &lease {
            Lease::Hit(_) => return Ok(false),
            Lease::Won(won) => won.cas,
            Lease::Lost { cas, .. } => *cas,
        };
        match mc.set(key, value).flags(flags).ttl(ttl).cas(version).await {
            Ok(Cas::Applied) => return Ok(true),
            Ok(_) => {}
            Err(error) => {
                if let Lease::Won(won) = &lease {
                    // What it was won for is what there is to say.
                    mc.hand_back(key, won).await.ok();
                }
                return Err(error);
            }
        }
    }
    Ok(false)
}
