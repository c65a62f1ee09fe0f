//! The start and the end of a worker, and its clients.

#![forbid(unsafe_code)]

pub mod cluster;
pub mod clusters;
pub mod effect;
pub mod location;
pub mod members;
pub mod record;
pub mod zone;

use core::sync::atomic::{AtomicU64, Ordering};

use crate::nginx::cycle::Cycle;
use crate::nginx::process::{check_process, on_event_loop, NotAvailable};

use self::cluster::Cluster;
use self::clusters::Clusters;

/// How many configurations this nginx has read. The master counts; workers inherit the number.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Counts a configuration that was read.
pub fn count_generation() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// The number of this worker's configuration, of those that this nginx has read.
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Opens the clients' first connections. A memcached that is down does not prevent the start of a worker.
pub fn init(cycle: Cycle<'_>) {
    if check_process().is_err() || !on_event_loop() {
        return;
    }
    let Some(clusters) = cycle.main_conf::<Clusters>() else { return };
    for cluster in clusters.iter().filter(|cluster| !cluster.on_demand) {
        if clusters.driver(cluster).is_err() {
            if let Some(log) = cycle.log() {
                log.alert(format_args!("memcache: no client in this worker"));
            }
        }
    }
}

/// Closes all sockets. No handler of a sibling runs: its module may have ended before.
pub fn exit(cycle: Cycle<'_>) {
    let Some(clusters) = cycle.main_conf::<Clusters>() else { return };
    clusters.iter().for_each(Cluster::shut_down);
    if let Some(zone) = &clusters.zone {
        zone.leave(&clusters.list);
    }
}

/// The clusters of the worker's configuration. Callers keep the borrow no longer than a call.
pub fn clusters<'a>() -> Result<&'a Clusters, NotAvailable> {
    check_process()?;
    Cycle::current().and_then(Cycle::main_conf).ok_or(NotAvailable)
}
