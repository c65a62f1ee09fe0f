//! The configuration that a script begins with.

use std::time::Duration;

use memcache_engine::{Config, Failover, Hash, Protocol, ServerConfig, ServerParams};

use crate::script::Script;

/// Reads the choices, each a number, in the order of these lines.
pub fn read(script: &mut Script<'_>) -> Config {
    let pools: [&[&str]; 6] = [
        &["max=1"],
        &["max=2"],
        &["min=1", "smax=1", "max=3", "ttl=1"],
        &["min=3", "smax=3", "max=3"],
        &["smax=0", "ttl=1"],
        &["min=2", "ttl=0"],
    ];
    let (servers, pool, addresses) = (script.pick(&[1, 2, 3]), script.pick(&pools), script.pick(&[1, 2, 0]));
    let mut params = ServerParams::default();
    pool.iter().for_each(|param| params.parse(param.as_bytes()).expect("a parameter"));
    let (pool, weight) = params.finish().expect("a pool");
    let server = |n| ServerConfig { name: format!("h:{n}").into(), addresses, pool, weight, backup: false };
    let mut config = Config::new((1..=servers).map(server).collect());
    config.pipeline = script.pick(&[128, 1, 2]);
    config.queue = script.pick(&[1024, 0, 1, 4]);
    config.max_fails = script.pick(&[3, 1, 2]);
    config.timeout = Duration::from_millis(script.pick(&[1000, 10, 100]));
    config.connect_timeout = Duration::from_millis(script.pick(&[200, 10, 2000]));
    config.max_value = script.pick(&[1024, 0, 5000, 100_000]);
    config.hash = script.pick(&Hash::ALL);
    let choice = script.number();
    config.failover = [Failover::Off, Failover::Next][choice % 2];
    config.coalesce = choice / 2 % 2 == 1;
    if choice / 8 % 2 == 1 && config.servers.len() > 1 {
        config.failover = Failover::Backup;
        config.servers.last_mut().into_iter().for_each(|last| last.backup = true);
    }
    config.protocol = [Protocol::Meta, Protocol::Text][choice / 4 % 2];
    config
}
