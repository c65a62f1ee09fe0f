//! Counting on what a read finds.

use ngx_memcache::{Cas, Client, Error, Ttl};

use crate::change::{self, Content, Seen};
use crate::request::Direction;

/// Counts on the item that a read would find, or creates a missing one with the initial number; `None`: there is none.
pub async fn count(
    mc: &Client,
    key: &[u8],
    (direction, delta): (Direction, u64),
    initial: Option<(u64, Ttl)>,
) -> Result<Option<u64>, Error> {
    let once = async |about: Seen| {
        let count = match direction {
            Direction::Up => mc.incr(key, delta),
            Direction::Down => mc.decr(key, delta),
        };
        match count.cas(about.cas).await {
            // Such a server has no stale items, on which one must not count: whatever is there is one to count on.
            Err(Error::Unsupported(_)) => Ok(match direction {
                Direction::Up => mc.incr(key, delta).await?,
                Direction::Down => mc.decr(key, delta).await?,
            }
            .ok_or(Cas::Missing)),
            // memcached answers this before it compares versions: it may be the empty item of a new lease.
            Err(error) if is_no_number(&error) && mc.found(key).await? != Some(about.cas) => Ok(Err(Cas::Changed)),
            other => other,
        }
    };
    for _ in 0..2 {
        if let Some(number) = change::found_one(mc, key, once).await? {
            return Ok(Some(number));
        }
        let Some((number, ttl)) = initial else { return Ok(None) };
        if change::create(mc, key, Content { value: number.to_string().as_bytes(), flags: 0, ttl }).await? {
            return Ok(Some(number));
        }
    }
    // Others keep creating and deleting it.
    Err(Error::Busy)
}

/// Whether the item is not a number.
pub fn is_no_number(error: &Error) -> bool {
    matches!(error, Error::Client(text) if text.ends_with(b"non-numeric value"))
}
