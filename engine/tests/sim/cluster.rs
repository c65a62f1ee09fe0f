//! Random clusters.

use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use memcache_engine::{Config, Failover, Hash, HashTag, KeyRules, LongKeys, ServerConfig, ServerParams};

use crate::server::BACKUP_TTL;
use crate::workload::LONGEST;

/// A server with a small pool.
pub fn server(rng: &mut Rng, n: u64) -> ServerConfig {
    let mut choose = |of: &[u64]| of[rng.usize(..of.len())];
    let max = choose(&[1, 1, 2, 3, 6]);
    let smax = choose(&[0, 1, 2, 6]).min(max);
    let min = choose(&[0, 0, 1, 2]).min(smax);
    let mut params = ServerParams::default();
    for (name, value) in
        [("min", min), ("smax", smax), ("max", max), ("ttl", choose(&[0, 1, 3, 60])), ("weight", choose(&[1, 1, 3]))]
    {
        params.parse(format!("{name}={value}").as_bytes()).expect("it is valid");
    }
    let (pool, weight) = params.finish().expect("they agree");
    let addresses = choose(&[1, 1, 2, 3]) as usize;
    ServerConfig { name: format!("10.0.0.{n}:11211").into(), addresses, pool, weight, backup: false }
}

/// Adds servers that stand in for the others.
pub fn add_backups(config: &mut Config, rng: &mut Rng) {
    let first = config.servers.len() as u64;
    for n in first..=first + rng.u64(..2) {
        config.servers.push(ServerConfig { backup: true, ..server(rng, n) });
    }
    (config.failover, config.backup_ttl) = (Failover::Backup, u32::try_from(BACKUP_TTL).expect("it is a life"));
}

/// Whether servers that join later stand in for others: some of them, if any do.
pub fn joins_as_backup(config: &Config, n: usize) -> bool {
    config.failover == Failover::Backup && n % 2 == 1
}

/// A cluster with small limits, so that they are met.
pub fn config(rng: &mut Rng) -> Config {
    let servers = [1, 1, 2, 3, 5][rng.usize(..5)];
    let servers = (0..servers).map(|n| server(rng, n)).collect();
    let mut choose = |of: &[u64]| of[rng.usize(..of.len())];
    Config {
        hash: Hash::Modulo,
        failover: if choose(&[0, 0, 1]) == 1 { Failover::Next } else { Failover::Off },
        coalesce: choose(&[0, 1]) == 1,
        timeout: Duration::from_millis(choose(&[20, 100, 500, 1_000])),
        connect_timeout: Duration::from_millis(choose(&[10, 60, 200])),
        max_fails: choose(&[1, 3, 10]) as u32,
        retry: Duration::from_millis(choose(&[100, 1_000, 5_000])),
        pipeline: choose(&[1, 2, 5, 128]) as usize,
        queue: choose(&[1, 10, 100, 1_024]) as usize,
        max_value: choose(&[100, 5_000, 70_000, LONGEST as u64]) as usize,
        keys: key_rules(rng),
        ..Config::new(servers)
    }
}

fn key_rules(rng: &mut Rng) -> KeyRules {
    KeyRules {
        prefix: if rng.bool() { Bytes::from_static(b"p:") } else { Bytes::new() },
        hash_prefix: rng.bool(),
        hash_tag: rng.bool().then_some(HashTag { open: b'k', close: b'1' }),
        long_keys: if rng.bool() { LongKeys::Hash } else { LongKeys::Refuse },
    }
}
