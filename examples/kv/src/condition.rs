//! Compares an item with the tags of a client.

use ngx_memcache::{Client, Error, Item, Lease, Seconds};

use crate::tag::{self, Tag};

/// The version of the item, if one of the tags matches it. An operation on this version alone changes only what the client
/// has seen.
///
/// This reads the item and compares its content. memcached compares the version again when the item is changed. One case is
/// left in between: the server restarts, or another one starts or stops standing in, and the key already has the same
/// version there.
pub async fn version_of(mc: &Client, key: &[u8], tags: &[Tag]) -> Result<Option<u64>, Error> {
    if let Some(item) = mc.get(key).await? {
        return Ok(named(&item, tags));
    }
    let about = match mc.inspect(key).await {
        // Such a server has nothing that a get does not find.
        Err(Error::Unsupported(_)) => return Ok(None),
        about => about?,
    };
    let Some(about) = about else {
        // There is no item, but perhaps the empty item of a lease. Its process distinguishes it from another one. A lease is
        // given once, so the first of several such tags is enough.
        if tags.iter().any(Tag::is_vacant) {
            let process = process_of(mc, key).await?;
            return Ok(process.and_then(|process| tags.iter().find_map(|tag| tag.place(process))));
        }
        return Ok(None);
    };
    if !(about.stale && about.leased) {
        return Ok(None);
    }
    // Callers of a lease get the old value, and another one has the lease already.
    Ok(match mc.lease(key, 1.secs()).await? {
        Lease::Lost { old: Some(item), .. } => named(&item, tags),
        Lease::Won(won) => {
            // It was given back just now.
            mc.hand_back(key, &won).await?;
            None
        }
        Lease::Hit(_) | Lease::Lost { old: None, .. } => None,
    })
}

/// A checksum of the memcached process that has the key. It differs after a restart, and on another server. `None`: the
/// server does not tell.
pub async fn process_of(mc: &Client, key: &[u8]) -> Result<Option<u32>, Error> {
    let stats = mc.server_of(key)?.stats().await?;
    let number = |name: &str| stats.iter().find(|(known, _)| known == name)?.1.parse::<u64>().ok();
    let (Some(pid), Some(time), Some(uptime)) = (number("pid"), number("time"), number("uptime")) else {
        return Ok(None);
    };
    // In a container every process may have the same pid, so the time of the start is included.
    Ok(Some(tag::process(pid, time.wrapping_sub(uptime))))
}

/// The tag of an item.
pub fn tag_of(item: &Item) -> Tag {
    Tag::of(item.cas(), item.flags(), item.value())
}

fn named(item: &Item, tags: &[Tag]) -> Option<u64> {
    tags.contains(&tag_of(item)).then(|| item.cas())
}
