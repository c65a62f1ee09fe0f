//! Whether an item is what a client has seen.

use ngx_memcache::{Client, Error, Item, Lease, Seconds};

use crate::tag::{self, Tag};

/// The version of the item, if it is one that the tags name: what then is done to this version alone is done to what the
/// client has seen.
///
/// The item is read and compared here, and its version is compared by memcached once more, when it is changed. What is
/// left between the two is that just then the server is restarted, or another one begins or ends to stand in for it, and
/// the key has the same version there already.
pub async fn version_of(mc: &Client, key: &[u8], tags: &[Tag]) -> Result<Option<u64>, Error> {
    if let Some(item) = mc.get(key).await? {
        return Ok(named(&item, tags));
    }
    let Some(about) = mc.inspect(key).await? else {
        // There is no item; at most the place of one that somebody was told to make, of which nothing is shown. What tells
        // it from that of another process is which process this is. Nobody was told so twice: of several such tags the
        // first is as good as any.
        if tags.iter().any(Tag::is_vacant) {
            let process = process_of(mc, key).await?;
            return Ok(process.and_then(|process| tags.iter().find_map(|tag| tag.place(process))));
        }
        return Ok(None);
    };
    if !(about.stale && about.leased) {
        return Ok(None);
    }
    // The old value is shown to those who ask for the lease, which is somebody else's already.
    Ok(match mc.lease(key, 1.secs()).await? {
        Lease::Lost { old: Some(item), .. } => named(&item, tags),
        Lease::Won(won) => {
            // It was handed back just now.
            mc.hand_back(key, &won).await?;
            None
        }
        Lease::Hit(_) | Lease::Lost { old: None, .. } => None,
    })
}

/// Which process of memcached has the key: something that is not the same after a restart, nor on another server. `None`:
/// it does not say that.
pub async fn process_of(mc: &Client, key: &[u8]) -> Result<Option<u32>, Error> {
    let stats = mc.server_of(key)?.stats().await?;
    let number = |name: &str| stats.iter().find(|(known, _)| known == name)?.1.parse::<u64>().ok();
    let (Some(pid), Some(time), Some(uptime)) = (number("pid"), number("time"), number("uptime")) else {
        return Ok(None);
    };
    // In a container every process may have the same pid. When it was started is always the same difference.
    Ok(Some(tag::process(pid, time.wrapping_sub(uptime))))
}

/// The tag of an item.
pub fn tag_of(item: &Item) -> Tag {
    Tag::of(item.cas(), item.flags(), item.value())
}

fn named(item: &Item, tags: &[Tag]) -> Option<u64> {
    tags.contains(&tag_of(item)).then(|| item.cas())
}
