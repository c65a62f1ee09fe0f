//! Checks that need all blocks.

#![forbid(unsafe_code)]

use super::block::ServerConf;
use crate::nginx::conf::{HttpBlock, Position};
use crate::nginx::log::Log;
use crate::worker::cluster::labels;
use crate::worker::clusters::{Clusters, Requirement};
use crate::worker::location::LocationConf;

/// Whether everything that needs a client has one; if not, the log says which line does.
pub fn check(http: &HttpBlock<'_>, clusters: &Clusters, log: Log<'_>) -> bool {
    let missing = |directive: &str, position: &Position| {
        log.emerg(format_args!("no \"memcache_server\" is defined for \"{directive}\" in {position}"));
        false
    };
    if clusters.blocks_without > 0 && !clusters.list.is_empty() {
        // The blocks may have turned it off again: this is not known here.
        for Requirement { directive, position, .. } in
            clusters.requirements.iter().filter(|requirement| http.is_outside(requirement.block))
        {
            let blocks = clusters.blocks_without;
            log.warn(format_args!(
                "no \"memcache_server\" is defined for \"{directive}\" in {blocks} of the server blocks that inherit it in {position}"
            ));
        }
    }
    let changing = clusters.list.iter().find_map(|cluster| cluster.sources.first());
    if let Some(source) = changing.filter(|_| clusters.zone.is_none()) {
        log.emerg(format_args!(
            "\"discover\" needs \"memcache_zone\", in which workers share the list of servers, in {}",
            source.position
        ));
        return false;
    }
    for (why, position) in clusters.effects.missing() {
        log.warn(format_args!("{why} in {position}"));
    }
    for uses in clusters.requirements.iter().filter_map(|requirement| requirement.uses.as_ref()) {
        if let Err(unknown) = clusters.used(uses) {
            http.conf().refuse(unknown);
            return false;
        }
    }
    match clusters.requirements.iter().find(|requirement| !is_met(requirement, http, clusters)) {
        Some(requirement) => missing(&requirement.directive, &requirement.position),
        None => match &clusters.status {
            Some(position) if clusters.list.is_empty() => missing("memcache_status", position),
            _ => clusters.controls.is_empty() || check_controls(http, clusters, log, missing),
        },
    }
}

/// Whether `memcache_control` can work; warns where it can, but for others as well.
fn check_controls(
    http: &HttpBlock<'_>,
    clusters: &Clusters,
    log: Log<'_>,
    missing: impl Fn(&str, &Position) -> bool,
) -> bool {
    for (block, position) in &clusters.controls {
        if clusters.list.is_empty() {
            return missing("memcache_control", position);
        }
        if clusters.zone.is_none() {
            log.emerg(format_args!("no \"memcache_zone\" is defined for \"memcache_control\" in {position}"));
            return false;
        }
        if !http.is_guarded(*block) {
            log.warn(format_args!(
                "everybody may change servers by \"memcache_control\", as neither \"allow\" and \"deny\" nor \"auth_basic\" or \
                 \"auth_request\" guards its location in {position}"
            ));
        }
    }
    let mut ambiguous: Vec<_> = labels(&clusters.list).into_iter().filter(|(_, is_unique)| !is_unique).collect();
    ambiguous.sort_unstable();
    ambiguous.dedup();
    for ((name, _), (_, position)) in ambiguous.iter().zip(clusters.controls.iter().cycle()) {
        let name = name.escape_ascii();
        log.warn(format_args!(
            "\"memcache_control\" cannot tell the clusters with the name \"{name}\" apart, \"memcache_cluster\" gives them \
             others in {position}"
        ));
    }
    true
}

/// Whether the line can have a client. A line of the http block is for its server blocks: one with a client is enough.
fn is_met(requirement: &Requirement, http: &HttpBlock<'_>, clusters: &Clusters) -> bool {
    if requirement.uses.is_some() {
        return true;
    }
    if http.is_outside(requirement.block) {
        return !clusters.list.is_empty();
    }
    http.location::<LocationConf>(requirement.block).is_some_and(|conf| conf.cluster.is_some())
        || http.server::<ServerConf>(requirement.block).is_some_and(|conf| conf.cluster.is_some())
}
