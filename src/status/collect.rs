//! What there is to show, from the clients of this worker.

#![forbid(unsafe_code)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memcache_engine::{Client, Instant, ServerId, ServerView, State};
use memcache_status::snapshot::{self, Bytes, Connections, Latency, Millis, Pool, Scope, Snapshot, Worker, SCHEMA};
use nginx_sys::NGINX_VERSION;

use crate::abi::Callback;
use crate::cluster::{Cluster, Clusters};
use crate::driver::Driver;
use crate::sys::{NGX_HTTP_MEMCACHE_ABI_MAJOR, NGX_HTTP_MEMCACHE_ABI_MINOR};

/// Everything about the clients of this worker, and where `key` goes to.
pub fn snapshot(clusters: &Clusters, worker: Worker, key: Option<&[u8]>) -> Snapshot {
    let running = || clusters.iter().filter_map(|cluster| Some((cluster, cluster.running()?)));
    let clients = running().filter_map(|(cluster, driver)| driver.view(|client| of_client(cluster, client, driver)));
    let route = |(index, driver): (usize, &Driver)| driver.view(|client| route(index, client, key?)).flatten();
    Snapshot {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        abi: format!("{NGX_HTTP_MEMCACHE_ABI_MAJOR}.{NGX_HTTP_MEMCACHE_ABI_MINOR}"),
        nginx: String::from_utf8_lossy(NGINX_VERSION.to_bytes()).into_owned(),
        now: millis(SystemTime::now()),
        scope: Scope::Worker,
        pid: worker.pid,
        generation: worker.generation,
        clients: clients.collect(),
        routes: running().map(|(_, driver)| driver).enumerate().filter_map(route).collect(),
        workers: vec![worker],
    }
}

fn millis(time: SystemTime) -> Millis {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since_epoch.as_millis()).unwrap_or(Millis::MAX)
}

fn of_client(cluster: &Cluster, client: &Client<Callback>, driver: &Driver) -> snapshot::Client {
    let config = client.config();
    let setting = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    snapshot::Client {
        used_by: cluster.used_by.borrow().iter().map(|name| text(name)).collect(),
        hash: config.hash.name(),
        failover: config.failover.name(),
        timeout_ms: setting(config.timeout),
        connect_timeout_ms: setting(config.connect_timeout),
        max_fails: config.max_fails,
        retry_ms: setting(config.retry),
        pipeline: config.pipeline,
        queue: config.queue,
        max_value: config.max_value,
        coalesce: config.coalesce,
        pending: client.pending() as u64,
        turns_cut: driver.turns_cut(),
        servers: (0..config.servers.len())
            .filter_map(|id| client.server(id))
            .map(|s| of_server(&s, driver.began()))
            .collect(),
    }
}

fn of_server(server: &ServerView<'_>, began: SystemTime) -> snapshot::Server {
    let ServerView { config, state, since, .. } = *server;
    let stats = server.stats();
    let pool = config.pool;
    snapshot::Server {
        address: text(&config.name),
        state: match state {
            State::Live => snapshot::State::Live,
            State::Down => snapshot::State::Down,
            State::Disabled => snapshot::State::Disabled,
        },
        since: millis(began.checked_add(since.since(Instant::default())).unwrap_or(began)),
        weight: config.weight,
        pool: Pool { min: pool.min(), smax: pool.smax(), max: pool.max(), ttl: pool.ttl() },
        connections: Connections {
            open: server.open as u64,
            connecting: server.connecting as u64,
            idle: server.idle as u64,
            busy: server.busy as u64,
            opened: stats.opened,
            failed: stats.failed,
            lost: stats.lost,
        },
        pending: server.pending as u64,
        queued: server.queued as u64,
        operations: stats.operations.list().collect(),
        hits: stats.hits,
        misses: stats.misses,
        errors: stats.errors.list().collect(),
        limits: stats.limits.list().collect(),
        coalesced: stats.coalesced,
        retried: stats.retried,
        failed_over: stats.failed_over,
        bytes: Bytes { read: stats.bytes_read, written: stats.bytes_written },
        latency: Latency::default(),
        latency_by_kind: Vec::new(),
        queue_time: Latency::default(),
        last_error: None,
        history: Vec::new(),
        workers: Vec::new(),
    }
}

fn route(index: usize, client: &Client<Callback>, key: &[u8]) -> Option<snapshot::Route> {
    let nowhere = |error| snapshot::Route {
        client: index,
        error,
        hash: None,
        point: None,
        candidates: Vec::new(),
        server: None::<ServerId>,
    };
    Some(match client.explain(key) {
        Ok((why, server)) => {
            snapshot::Route { hash: why.hash, point: why.point, candidates: why.candidates, server, ..nowhere(None) }
        }
        Err(error) => nowhere(Some(error.to_string())),
    })
}

/// What is not UTF-8 becomes U+FFFD.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
