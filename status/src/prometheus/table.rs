//! The metrics: their names, kinds and texts, and their values in a snapshot.

use crate::snapshot::{Client, Latency, Module, Named, Scope, Server, Snapshot, State};

/// A number of the snapshot.
pub type OfAll = fn(&Snapshot) -> f64;
/// A number of a client.
pub type OfClient = fn(&Client) -> f64;
/// A number of a server.
pub type OfServer = fn(&Server) -> f64;
/// A number of a module.
pub type OfModule = fn(&Module) -> u64;
/// Numbers of a server, by name.
pub type Counters = fn(&Server) -> &Named<u64>;
/// Durations of a server, by operation.
pub type Latencies = fn(&Server) -> Vec<(Option<&'static str>, &Latency)>;

/// The one whose value is in a label.
pub const ADDRESS: &str = "memcache_server_address_info";
/// The same.
pub const PROTOCOL: &str = "memcache_server_protocol_info";
/// A number that goes up and down.
pub const GAUGE: &str = "gauge";
/// A number that only grows.
pub const COUNTER: &str = "counter";

/// Of the snapshot.
pub const ALL: [(&str, &str, &str, OfAll); 5] = [
    ("memcache_workers", GAUGE, "Workers that the numbers are of.", |all| float(all.workers.len() as u64)),
    (
        "memcache_zone",
        GAUGE,
        "Whether the numbers are of all workers; without memcache_zone they are of the one that answers.",
        |all| is(all.scope == Scope::Zone),
    ),
    ("memcache_retained_bytes", GAUGE, "Values that modules keep, in the worker that answers.", |all| {
        float(all.retained.bytes as u64)
    }),
    ("memcache_retained_limit_bytes", GAUGE, "The most of that: memcache_max_retained.", |all| {
        float(all.retained.max as u64)
    }),
    ("memcache_retained_refused_total", COUNTER, "Values that were not kept, in the worker that answers.", |all| {
        float(all.retained.refused)
    }),
];

/// Of each client.
pub const CLIENTS: [(&str, &str, &str, OfClient); 5] = [
    ("memcache_list_version", GAUGE, "The version of the list of servers; 0: that of the configuration.", |client| {
        float(client.list_version)
    }),
    ("memcache_operations_pending", GAUGE, "Operations under way.", |client| float(client.pending)),
    ("memcache_queue_limit", GAUGE, "Operations that may wait for a server: memcache_queue.", |client| {
        float(client.queue as u64)
    }),
    ("memcache_turns_cut_total", COUNTER, "Turns of the event loop that were not enough for the work.", |client| {
        float(client.turns_cut)
    }),
    (
        "memcache_longest_handlers_seconds",
        GAUGE,
        "The longest time that the handlers of one turn of the event loop took.",
        |client| float(client.longest_handlers_ms) / 1e3,
    ),
];

/// Of each module of a client.
pub const MODULES: [(&str, &str, &str, OfModule); 3] = [
    (
        "memcache_module_operations_total",
        COUNTER,
        "Accepted operations of a module, in the worker that answers.",
        |m| m.operations,
    ),
    (
        "memcache_module_errors_total",
        COUNTER,
        "Failed and refused operations of a module, in the worker that answers.",
        |m| m.errors,
    ),
    ("memcache_module_queued", GAUGE, "Operations of a module that wait, in the worker that answers.", |m| m.queued),
];

/// Of each server.
pub const SERVERS: [(&str, &str, &str, OfServer); 26] = [
    ("memcache_server_up", GAUGE, "Whether operations are sent to the server.", |s| is(s.state == State::Live)),
    ("memcache_server_disabled", GAUGE, "Whether the server was taken out of use.", |s| is(s.state == State::Disabled)),
    ("memcache_server_taken_out", GAUGE, "Whether the operator has taken the server out of use.", |s| {
        is(s.operator.is_some())
    }),
    ("memcache_server_state_timestamp_seconds", GAUGE, "When the server went up, down, or out of use.", |s| {
        float(s.since) / 1e3
    }),
    ("memcache_server_weight", GAUGE, "The server's share of the keys.", |s| s.weight.into()),
    ("memcache_server_backup", GAUGE, "Whether the server has no keys of its own, and stands in for others.", |s| {
        is(s.backup)
    }),
    ("memcache_connections_idle", GAUGE, "Connections without a pending reply.", |s| float(s.connections.idle)),
    ("memcache_connections_busy", GAUGE, "Connections with a pending reply.", |s| float(s.connections.busy)),
    ("memcache_connections_connecting", GAUGE, "Connections that are not ready yet.", |s| {
        float(s.connections.connecting)
    }),
    ("memcache_connections_min", GAUGE, "Connections that each worker keeps open.", |s| s.pool.min.into()),
    ("memcache_connections_smax", GAUGE, "Connections that may idle for longer than ttl, per worker.", |s| {
        s.pool.smax.into()
    }),
    ("memcache_connections_max", GAUGE, "Connections that each worker may have.", |s| s.pool.max.into()),
    ("memcache_connections_opened_total", COUNTER, "Connections that became ready.", |s| float(s.connections.opened)),
    ("memcache_connections_failed_total", COUNTER, "Connections that never became ready.", |s| {
        float(s.connections.failed)
    }),
    ("memcache_connections_lost_total", COUNTER, "Connections that ended abnormally.", |s| float(s.connections.lost)),
    ("memcache_replies_pending", GAUGE, "Replies that are awaited.", |s| float(s.pending)),
    ("memcache_operations_queued", GAUGE, "Operations that wait for a connection.", |s| float(s.queued)),
    ("memcache_hits_total", COUNTER, "Gets that found an item.", |s| float(s.hits)),
    ("memcache_misses_total", COUNTER, "Gets that found none.", |s| float(s.misses)),
    ("memcache_coalesced_total", COUNTER, "Gets that shared the exchange of another one.", |s| float(s.coalesced)),
    ("memcache_retried_total", COUNTER, "Operations that were sent again.", |s| float(s.retried)),
    ("memcache_failed_over_total", COUNTER, "Operations that another server stood in for.", |s| float(s.failed_over)),
    ("memcache_handed_back_total", COUNTER, "Leases that nobody could use, and that were handed back.", |s| {
        float(s.handed_back)
    }),
    ("memcache_received_bytes_total", COUNTER, "Bytes received from the server.", |s| float(s.bytes.read)),
    ("memcache_sent_bytes_total", COUNTER, "Bytes sent to the server.", |s| float(s.bytes.written)),
    ("memcache_last_error_timestamp_seconds", GAUGE, "When the last error was; 0 if there was none.", |s| {
        s.last_error.as_ref().map_or(0.0, |error| float(error.at) / 1e3)
    }),
];

/// Of each server, by name.
pub const COUNTERS: [(&str, &str, &str, Counters); 3] = [
    ("memcache_operations_total", "op", "Operations that were accepted.", |s| &s.operations),
    ("memcache_errors_total", "class", "Operations that failed; a miss is none.", |s| &s.errors),
    ("memcache_limits_total", "class", "How often a limit was hit.", |s| &s.limits),
];

/// Of each server, by operation.
pub const HISTOGRAMS: [(&str, &str, Latencies); 2] = [
    ("memcache_operation_duration_seconds", "From submit to completion.", |s| {
        s.latency_by_kind.iter().map(|(op, latency)| (Some(*op), latency)).collect()
    }),
    ("memcache_queue_duration_seconds", "From submit until a connection takes the operation.", |s| {
        vec![(None, &s.queue_time)]
    }),
];

fn is(truth: bool) -> f64 {
    truth.into()
}

/// Prometheus converts every number to a float anyway.
#[allow(clippy::cast_precision_loss)]
pub fn float(number: u64) -> f64 {
    number as f64
}
