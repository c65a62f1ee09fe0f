//! The directives, and the clusters that they define. Server blocks with equal settings share a cluster.

#![forbid(unsafe_code)]

mod argument;
mod auth;
pub mod block;
mod check;
pub mod commands;
mod keys;
mod level;
pub mod named;
mod server;
mod settings;
mod ssl;

use self::block::{secure, ServerConf};
use crate::nginx::conf::HttpBlock;
use crate::nginx::cycle::Cycle;
use crate::nginx::resolver::Resolver;
use crate::worker::clusters::Clusters;
use crate::{abi, worker};

/// Checks that need all server blocks. `None`: something is wrong, and was logged.
pub fn postconfiguration(http: &mut HttpBlock<'_>) -> Option<()> {
    check::check(http, http.main::<Clusters>()?, http.log()?).then_some(())?;
    // The cluster of the http block itself, for siblings outside of all server blocks. It has the settings of a server
    // block without directives. Contradictory settings are no error here, since each server block may correct them.
    let resolver = Resolver::of_http(http.conf());
    let (clusters, outer) = http.confs::<Clusters, ServerConf>()?;
    if let Some(uses) = &outer.settings.uses {
        outer.cluster = clusters.named(&uses.name).cloned();
    } else if let Ok(Some((config, hosts))) = outer.settings.config(|| resolver) {
        let cluster = clusters.share(config, hosts, outer.settings.sources(), true);
        outer.cluster = Some(cluster.clone());
        let settings = outer.settings.clone();
        secure(http.conf(), &cluster, &settings).ok()?;
    }
    abi::request::watch_ends(http)
}

/// Runs when the whole file was read, also under `nginx -t`. Only then is `worker_connections` known, whatever the order
/// of the blocks. `None`: something is wrong, and was logged.
///
/// Each worker may open all connections that the pools allow. If these are all that it may have, it cannot serve
/// clients: an error. If they are more than half, a busy worker is likely to run out: a warning.
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
        // The log for nginx's own warnings. The new log has the level of `error_log`, by default "error".
        let reading = cycle.old().and_then(Cycle::log).unwrap_or(log);
        reading.warn(format_args!("{text}: that is more than half, and clients need connections, too"));
    }
    Some(())
}
