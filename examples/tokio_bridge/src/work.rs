//! The tasks of the runtime. They do not depend on nginx.

use std::fmt::Write;
use std::time::Duration;

use md5::{Digest, Md5};
use ngx_memcache::{Error, Remote, Seconds};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::rounds::{self, Place};

/// Why there is no digest.
pub enum Failure {
    /// There is too much to do.
    Full,
    /// The item in memcached was not stored by this module.
    Memcached(Error),
    /// The work panicked, or the runtime has ended.
    Ended,
}

/// The digest, and its source. Without memcached it is computed each time.
pub async fn digest(remote: Remote, text: Vec<u8>, rounds: u32) -> Result<(String, &'static str), Failure> {
    let key = format!("digest:{rounds}:{}", hex(&Md5::digest(&text)));

    let lookup = key.clone();
    if let Ok(Some(item)) = remote.with(|mc| mc.get(lookup)).await {
        return Ok((item.decode().map_err(Failure::Memcached)?, "cache"));
    }
    let place = Place::take().ok_or(Failure::Full)?;
    // When the request ends, this is dropped while it waits, and the work notices.
    let (_caller, watch) = rounds::caller();
    // On a thread of its own, as tasks share theirs. If this is aborted before it has begun, it does not run.
    let mut making = JoinSet::new();
    making.spawn_blocking(move || {
        let _place = place;
        rounds::digest(text, rounds, &watch)
    });
    let made = making.join_next().await.and_then(Result::ok).flatten().ok_or(Failure::Ended)?;
    let digest = hex(&made);

    let store = digest.clone();
    let _ = remote.with(|mc| async move { mc.set(key, store).ttl(3600.secs()).await }).await;
    Ok((digest, "made"))
}

/// Stores a sign of life every second, until the worker exits.
pub async fn heartbeat(remote: Remote, pid: u32) {
    loop {
        let beat =
            remote.with(move |mc| async move { mc.incr(format!("alive:{pid}"), 1).initial(1).ttl(60.secs()).await });
        if let Err(Error::Shutdown { .. }) = beat.await {
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
