//! What can only be checked when all blocks are known.

#![forbid(unsafe_code)]

use super::block::ServerConf;
use crate::nginx::conf::{HttpBlock, Place};
use crate::nginx::log::Log;
use crate::worker::clusters::{Clusters, Want};

/// Whether everything that needs a client has one; if not, the log says which line does.
pub fn check(http: &HttpBlock<'_>, clusters: &Clusters, log: Log<'_>) -> bool {
    let missing = |directive: &str, place: &Place| {
        log.emerg(format_args!("no \"memcache_server\" is defined for \"{directive}\" in {place}"));
        false
    };
    if clusters.blocks_without > 0 && !clusters.list.is_empty() {
        // They may have turned it off again: that is not known here.
        for Want { directive, place, .. } in clusters.wanted.iter().filter(|want| http.is_outside(want.block)) {
            let blocks = clusters.blocks_without;
            log.warn(format_args!(
                "no \"memcache_server\" is defined for \"{directive}\" in {blocks} of the server blocks that inherit it in {place}"
            ));
        }
    }
    match clusters.wanted.iter().find(|want| !is_met(want, http, clusters)) {
        Some(want) => missing(&want.directive, &want.place),
        None => match &clusters.status {
            Some(place) if clusters.list.is_empty() => missing("memcache_status", place),
            _ => true,
        },
    }
}

/// Whether a client may come of it. What the http block says is for the server blocks in it; it is enough that one of them
/// has a client.
fn is_met(want: &Want, http: &HttpBlock<'_>, clusters: &Clusters) -> bool {
    if http.is_outside(want.block) {
        return !clusters.list.is_empty();
    }
    http.server::<ServerConf>(want.block).is_some_and(|conf| conf.cluster.is_some())
}
