//! Snapshots that are made up, for tests and for looking at the page.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use super::snapshot::{
    Bucket, Bytes, Client, Connections, LastError, Latency, Module, Named, Pool, Retained, Sample, Scope, Server,
    ServerInWorker, Snapshot, State, Worker, SCHEMA,
};

/// 2026-11-24 02:17:09 UTC
pub const NOW: u64 = 1_795_486_629_000;

/// So many servers that answer.
#[must_use]
pub fn servers(n: usize) -> Snapshot {
    Snapshot {
        schema: SCHEMA,
        version: "0.1.0",
        abi: "1.2".into(),
        nginx: "1.22.1".into(),
        now: NOW,
        utc_offset: 0,
        scope: Scope::Worker,
        pid: 4242,
        generation: 1,
        retained: Retained { bytes: 3 << 20, max: 64 << 20, refused: 0 },
        workers: vec![Worker { pid: 4242, generation: 1, slot: 0 }],
        clients: vec![Client {
            cluster: "example.com".into(),
            used_by: vec!["example.com".into(), "www.example.com".into()],
            list_version: 0,
            modules: modules(),
            hash: "consistent",
            failover: "off",
            backup_ttl: None,
            protocol: "auto",
            timeout_ms: 1000,
            connect_timeout_ms: 200,
            max_fails: 3,
            retry_ms: 5000,
            pipeline: 128,
            queue: 1024,
            max_value: 1_048_576,
            coalesce: false,
            hash_prefix: true,
            hash_tag: None,
            long_keys: "refuse",
            ssl: false,
            not_shown: String::new(),
            configured: (0..n).map(server).map(|server| (server.address, server.weight, server.backup)).collect(),
            pending: 3,
            turns_cut: 0,
            longest_handlers_ms: 2,
            servers: (0..n).map(server).collect(),
        }],
        routes: Vec::new(),
    }
}

/// A server that answers.
#[must_use]
pub fn server(n: usize) -> Server {
    let load = 1 + (n as u64 * 7 + 3) % 5;
    Server {
        address: format!("10.0.0.{}:11211", n + 1),
        asked_at: format!("10.0.0.{}:11211", n + 1),
        addresses: 1,
        resolve: false,
        state: State::Live,
        since: NOW - 93_784_000,
        operator: None,
        version: Some("1.6.18".into()),
        protocol: Some("meta"),
        weight: 1,
        backup: false,
        pool: Pool { min: 1, smax: 2, max: 8, ttl: 60 },
        connections: Connections { open: 3, connecting: 0, idle: 2, busy: 1, opened: 14, failed: 0, lost: 0 },
        pending: 2,
        queued: 0,
        operations: counters(&OPERATIONS, &[("get", 90_000), ("set", 8_000), ("incr", 512), ("delete", 31)]),
        hits: 87_311,
        misses: 2_689,
        errors: counters(&ERRORS, &[]),
        limits: counters(&LIMITS, &[]),
        coalesced: 0,
        retried: 0,
        failed_over: 0,
        handed_back: 0,
        bytes: Bytes { read: 734_003_200, written: 52_428_800 },
        latency: latency(1),
        latency_by_kind: vec![("get", latency(1)), ("store", latency(2)), ("other", latency(1))],
        queue_time: Latency { p50_us: 3, p90_us: 5, p99_us: 9, ..latency(1) },
        last_error: None,
        history: history(load, 0),
        workers: Vec::new(),
    }
}

/// What a server that is down may suffer from.
pub const HINT: &str = "nobody listens there: its host answers, memcached does not run";

/// Makes a server one that is down since four minutes.
pub fn take_down(server: &mut Server, class: &'static str, text: &str) {
    server.state = State::Down;
    server.since = NOW - 244_000;
    server.connections = Connections { failed: 7, lost: 3, opened: 14, ..Connections::default() };
    server.errors = counters(&ERRORS, &[("unknown", 12), ("timeout", 4), ("server_down", 3_804)]);
    server.last_error = Some(LastError { class, text: text.into(), hint: HINT, at: NOW - 9_000 });
    server.history = history(2, 24);
    server.pending = 0;
}

/// Makes a server one that answers too late now and then.
pub fn slow_down(server: &mut Server) {
    server.latency = latency(40);
    server.errors = counters(&ERRORS, &[("timeout", 41), ("cancelled", 3)]);
    server.connections = Connections { open: 8, busy: 8, opened: 22, lost: 2, ..Connections::default() };
    server.pending = 812;
    server.queued = 97;
    server.last_error = Some(LastError { class: "timeout", text: "timed out".into(), hint: "", at: NOW - 2_000 });
    for sample in server.history.iter_mut().rev().take(5) {
        sample.errors = sample.operations / 12;
    }
}

/// Numbers of four workers instead of those of one.
pub fn share(snapshot: &mut Snapshot) {
    snapshot.scope = Scope::Zone;
    snapshot.workers = (0..4).map(|slot| Worker { pid: 4242 + slot as i32, generation: 1, slot }).collect();
    for server in snapshot.clients.iter_mut().flat_map(|client| &mut client.servers) {
        let state = server.state;
        let in_worker = |slot| ServerInWorker {
            slot,
            state,
            open: 2,
            busy: 1,
            pending: 1,
            queued: 0,
            operations: 20_000 + 700 * slot as u64,
            errors: 3,
        };
        server.workers = (0..4).map(in_worker).collect();
    }
}

const OPERATIONS: [&str; 5] = ["get", "set", "delete", "incr", "touch"];
const ERRORS: [&str; 6] = ["not_sent", "unknown", "timeout", "busy", "server_down", "cancelled"];
const LIMITS: [&str; 3] = ["queue", "backlog", "pipeline"];

fn counters(names: &[&'static str], set: &[(&'static str, u64)]) -> Named<u64> {
    let value = |name| set.iter().find(|(other, _)| *other == name).map_or(0, |(_, value)| *value);
    names.iter().map(|&name| (name, value(name))).collect()
}

fn latency(factor: u64) -> Latency {
    let buckets = [(127, 1_000), (159, 9_000), (191, 22_000), (255, 34_000), (383, 20_000), (767, 9_000)]
        .into_iter()
        .chain([(1_535, 2_500), (6_143, 900), (24_575, 140), (98_303, 3)])
        .map(|(le_us, count)| Bucket { le_us: le_us * factor, count });
    Latency {
        count: 98_543,
        sum_us: 31_222_111 * factor,
        p50_us: 231 * factor,
        p90_us: 610 * factor,
        p99_us: 2_190 * factor,
        max_us: 91_204 * factor,
        buckets: buckets.collect(),
    }
}

/// Ten minutes; in the last samples nothing happened any more but errors.
fn history(load: u64, failing: u64) -> Vec<Sample> {
    let sample = |n: u64| {
        let down = n >= 60 - failing;
        let operations = if down { 0 } else { load * (700 + (n * n * 37 + n * 91) % 260) };
        Sample {
            at: NOW - (60 - n) * 10_000,
            millis: 10_000,
            operations,
            hits: operations * 9 / 10,
            misses: operations / 30,
            errors: if down { 158 } else { 0 },
            p50_us: if down { 0 } else { 200 + (n * 13) % 60 },
            p99_us: if down { 0 } else { 1_900 + (n * n * 29) % 900 },
        }
    };
    (0..60).map(sample).collect()
}

fn modules() -> Vec<Module> {
    let module = |name: &str, operations, errors, queued| Module { name: name.into(), operations, errors, queued };
    vec![module("-", 17, 0, 0), module("ngx_http_memcache_kv_module", 1_204_331, 12, 3)]
}
