//! The directives, and what they become: clusters of the configuration, each shared by all servers that mean the same.

#![forbid(unsafe_code)]

mod argument;
pub mod block;
mod check;
pub mod commands;
mod server;
mod settings;

use self::block::ServerConf;
use crate::nginx::conf::HttpBlock;
use crate::nginx::cycle::Cycle;
use crate::worker::clusters::Clusters;
use crate::{abi, worker};

/// Checks what can only be checked when all server blocks are known. `None`: something is wrong, and was logged.
pub fn postconfiguration(http: &mut HttpBlock<'_>) -> Option<()> {
    check::check(http, http.main::<Clusters>()?, http.log()?).then_some(())?;
    // The cluster of the http block itself, for siblings that belong to no server block: what a server block has that
    // says nothing of its own. Settings that contradict each other are no error here, where each server block may
    // correct them.
    let (clusters, outer) = http.confs::<Clusters, ServerConf>()?;
    if let Ok(Some((config, addresses))) = outer.settings.config() {
        outer.cluster = Some(clusters.share(config, addresses, true));
    }
    abi::request::watch_ends(http)
}

/// Runs when the whole file was read, also under `nginx -t`: only here is `worker_connections` known, whatever the order
/// of the blocks. `None`: something is wrong, and was logged.
///
/// Every worker may come to hold all connections that the pools allow. If that is all it may open, it could not serve
/// anybody: an error. If it is more than half, a busy worker is likely to run out: a warning.
pub fn init_module(cycle: Cycle<'_>) -> Option<()> {
    let Some((clusters, log)) = cycle.main_conf::<Clusters>().zip(cycle.log()) else { return Some(()) };
    worker::count_generation();
    let (need, limit) = (clusters.connections(), cycle.connections());
    let text = format!("memcache pools need {need} connections, worker_connections is {limit}");
    if need > 0 && need >= limit {
        log.emerg(format_args!("{text}"));
        return None;
    }
    if need > limit / 2 {
        // Where nginx warns of what it reads: the new log has the level that `error_log` says, by default "error".
        let reading = cycle.old().and_then(Cycle::log).unwrap_or(log);
        reading.warn(format_args!("{text}"));
    }
    Some(())
}
