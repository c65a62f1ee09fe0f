//! What is done on the runtime: no nginx in here.

use std::fmt::Write;
use std::time::Duration;

use md5::{Digest, Md5};
use ngx_memcache::{Error, Remote, Seconds};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// The digest, and where it comes from. Without memcached it is made each time.
pub async fn digest(remote: Remote, text: Vec<u8>, rounds: u32) -> Result<(String, &'static str), Error> {
    let key = format!("digest:{rounds}:{}", hex(&Md5::digest(&text)));

    let lookup = key.clone();
    if let Ok(Some(item)) = remote.with(|mc| mc.get(lookup)).await {
        return Ok((item.decode()?, "cache"));
    }
    // On a thread of its own: the tasks share theirs. If this is aborted before that has begun, it will not.
    let mut making = JoinSet::new();
    making.spawn_blocking(move || (0..rounds).fold(text, |text, _| Md5::digest(&text).to_vec()));
    let made = making.join_next().await.and_then(Result::ok).ok_or(Error::Panicked)?;
    let digest = hex(&made);

    let store = digest.clone();
    let _ = remote.with(|mc| async move { mc.set(key, store).ttl(3600.secs()).await }).await;
    Ok((digest, "made"))
}

/// Says every second that the worker is alive, until it exits.
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
