//! What hangs takes nothing else along.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use fastrand::Rng;
use memcache_engine::{Config, Failover, Instant, Outcome, ServerParams, PIPELINE_BOUND};

use crate::cluster;
use crate::session::Mishap;
use crate::workload::Workload;
use crate::world::World;

/// A cluster without small limits, so that nothing is refused.
fn config(rng: &mut Rng, servers: usize) -> Config {
    let max = rng.usize(2..=4);
    config_of(rng, servers, max)
}

/// The same with at most so many connections to each.
pub fn config_of(rng: &mut Rng, servers: usize, max: usize) -> Config {
    let mut config = cluster::config(rng);
    let mut params = ServerParams::default();
    params.parse(b"min=2").expect("it is valid");
    params.parse(format!("max={max}").as_bytes()).expect("it is valid");
    let (pool, weight) = params.finish().expect("they agree");
    let mut server = config.servers[0].clone();
    (server.pool, server.weight, server.addresses) = (pool, weight, 1);
    let named = |n| memcache_engine::ServerConfig { name: format!("10.0.0.{n}:11211").into(), ..server.clone() };
    config.servers = (0..servers).map(named).collect();
    (config.failover, config.max_fails) = (Failover::Off, 1_000);
    (config.pipeline, config.queue) = (128, 1_024);
    config
}

/// One of several connections hangs: few gets of a hot key fail, and none once it had to be noticed.
pub fn one_connection(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let config = config(&mut rng, 1);
    let (time, step) = (config.timeout, config.timeout / 50);
    let mut workload = Workload::new(&mut rng, config.max_value);
    let mut world = World::new(config, seed);
    world.run(Duration::from_secs(2));
    workload.submit_get(&mut world, 0);
    world.settle();
    let conns = world.conns(0);
    world.worker.links.get_mut(&conns[0]).expect("a connection").lost = true;
    let hung = world.now;
    let mut failed = Vec::new();
    while world.now < hung.after(time * 8) {
        let from = world.now;
        assert_eq!(workload.submit_get(&mut world, 0), None, "there is room");
        world.posted();
        world.run(step);
        failed.extend(world.done.drain(..).filter(|(_, answer)| answer.is_err()).map(|_| from));
    }
    failed.extend(world.settle().iter().filter(|(_, answer)| answer.is_err()).map(|_| world.now));
    let last = failed.iter().max().copied().unwrap_or(Instant::default());
    assert!(failed.len() <= 5, "{} gets have failed as one connection hangs", failed.len());
    assert!(last <= hung.after(time * 3), "gets still fail {:?} after a connection hangs", last.since(hung));
    assert!(!world.conns(0).contains(&conns[0]), "the connection that hangs is kept");
}

/// One of two connections hangs, and a key that is on it is written to all the time: that it is full is nothing to other
/// keys. Of their gets some fail, those that were on it before that had to be noticed.
pub fn one_key(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut config = config_of(&mut rng, 1, 2);
    (config.pipeline, config.queue, config.coalesce) = (1, 64, false);
    let (time, bound) = (config.timeout, PIPELINE_BOUND * config.pipeline);
    let mut workload = Workload::new(&mut rng, config.max_value);
    let mut world = World::new(config, seed);
    world.run(Duration::from_secs(2));
    assert_eq!(workload.submit_set_of(&mut world, 0), None);
    let hangs =
        world.conns(0).into_iter().find(|&conn| !world.worker.client.is_idle(conn)).expect("the key's connection");
    world.worker.links.get_mut(&hangs).expect("a connection").lost = true;
    let hung = world.now;
    let mut gets = HashMap::new();
    let mut failed = Vec::new();
    while world.now < hung.after(time * 6) {
        // More than both connections take at once.
        for n in 0..3 * bound {
            let (next, from) = (workload.next(), world.now);
            match workload.submit_get_of(&mut world, 1 + n % 3) {
                None => drop(gets.insert(next, from)),
                Some(_) => failed.push(from),
            }
        }
        for _ in 0..20 {
            let _ = workload.submit_set_of(&mut world, 0);
        }
        world.posted();
        world.run(time / 20);
        let ended = world.done.drain(..).filter(|(_, answer)| answer.is_err());
        failed.extend(ended.filter_map(|(number, _)| gets.get(&number)));
    }
    let last = failed.iter().max().copied().unwrap_or(hung);
    assert!(failed.len() <= 2 * bound, "{} gets of others have failed as the connection of a key hangs", failed.len());
    assert!(last <= hung.after(time * 3), "gets still fail {:?} after a connection hangs", last.since(hung));
    world.settle();
}

/// One of several servers hangs: no operation of the others fails, nor does any part of a batch that is for them, whether
/// or not they stand in for the one that hangs.
pub fn one_server(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut config = config(&mut rng, 2);
    config.max_fails = [1, 3, 1_000][rng.usize(..3)];
    config.failover = [Failover::Off, Failover::Next][rng.usize(..2)];
    let time = config.timeout;
    let mut workload = Workload::new(&mut rng, config.max_value);
    let mut world = World::of(config, seed, rng.u32(1..3));
    world.run(Duration::from_secs(2));
    world.servers[0].stalled = true;
    let until = world.now.after(time * 6);
    let keys = 0..workload.keys().len();
    let homes: Vec<_> = keys.map(|at| world.worker.client.server_of(&workload.keys()[at]) == Ok(1)).collect();
    let healthy: Vec<usize> = (0..homes.len()).filter(|&at| homes[at]).collect();
    let mut promised = HashSet::new();
    while world.now < until && !healthy.is_empty() {
        let worker = rng.usize(..world.count());
        world.switch(worker);
        let _ = workload.submit_get(&mut world, 0);
        let next = workload.next();
        let at = healthy[rng.usize(..healthy.len())];
        let refused = match rng.u8(..4) {
            0 => workload.submit_set_of(&mut world, at),
            1 => workload.submit_batch_of_all(&mut world),
            _ => workload.submit_get_of(&mut world, at),
        };
        assert_eq!(refused, None, "an operation of another server is refused");
        promised.insert(next);
        world.posted();
        world.run(time / 20);
        for (number, answer) in world.done.drain(..).filter(|(number, _)| promised.contains(number)) {
            let fine = match &answer {
                Ok(Outcome::Many(parts)) => parts.iter().zip(&homes).all(|(part, home)| !home || part.answer.is_ok()),
                answer => answer.is_ok(),
            };
            assert!(fine, "{answer:?} to {number}, as another server hangs");
        }
    }
    world.settle();
}

/// A server answers with another key's item now and then, as something in between may: nobody gets that.
pub fn other_keys(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let config = config(&mut rng, 1);
    let mut workload = Workload::new(&mut rng, config.max_value);
    let mut world = World::new(config, seed);
    world.ledger.meddled = true;
    world.run(Duration::from_secs(2));
    for at in 0..workload.keys().len() {
        assert_eq!(workload.submit_set_of(&mut world, at), None);
    }
    for _ in 0..20 {
        world.settle();
        for link in world.worker.links.values_mut().filter(|_| rng.bool()) {
            link.session.mishap = Some(Mishap::OtherKey);
        }
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..workload.keys().len());
            let _ = workload.submit_get_of(&mut world, at);
        }
    }
    world.settle();
}

/// The worker has no sockets for a while: that is no fault of the server's.
pub fn no_sockets(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut config = config(&mut rng, 1);
    config.max_fails = 1;
    let (time, addresses) = (config.timeout, config.servers[0].addresses);
    let mut workload = Workload::new(&mut rng, config.max_value);
    let mut world = World::new(config, seed);
    world.run(Duration::from_secs(2));
    // That the server closes what nobody waits on is no fault of its either.
    world.habits.sockets = 0;
    world.kill(0, memcache_engine::Loss::Eof, true);
    world.run(time / 20);
    assert!(world.conns(0).is_empty(), "all connections are lost");
    let until = world.now.after(time * 4);
    while world.now < until {
        let _ = workload.submit_get(&mut world, 0);
        world.posted();
        world.run(time / 20);
        assert!(
            world.down().is_empty(),
            "a worker without sockets takes its server for down, of {addresses} addresses"
        );
    }
    world.habits.sockets = usize::MAX;
    world.run(Duration::from_secs(2));
    world.settle();
    assert_eq!(workload.submit_get(&mut world, 0), None);
    assert!(world.settle().iter().all(|(_, answer)| answer.is_ok()), "all is well again");
}

/// Some ask for many large items and go away, again and again: who asks for a small one gets it, once it is known what they
/// are like.
pub fn deserters(seed: u64) {
    /// Bytes of an item, and how many are asked for at once.
    const ITEM: usize = 60_000;
    const MANY: usize = 64;
    let mut rng = Rng::with_seed(seed);
    let mut config = config(&mut rng, 1);
    (config.timeout, config.max_value, config.coalesce) = (Duration::from_millis(200), ITEM, false);
    let mut workload = Workload::new(&mut rng, ITEM);
    let mut world = World::new(config, seed);
    // 16 MB/s.
    (world.servers[0].weather.latency, world.servers[0].weather.buffer) = (1_000, 16_384);
    world.run(Duration::from_secs(2));
    workload.fill(&mut world, ITEM);
    assert!(world.settle().iter().all(|(_, answer)| answer.is_ok()), "all is well");
    let mut failed = 0;
    for round in 0..60 {
        let large = workload.submit_large(&mut world, MANY);
        world.posted();
        assert_eq!(workload.submit_get(&mut world, 0), None, "there is room");
        world.posted();
        world.run(Duration::from_millis(10));
        workload.desert(&mut world, large);
        if round < 8 {
            world.run(Duration::from_millis(500));
            world.done.clear();
            continue;
        }
        failed += world.done.drain(..).filter(|(_, answer)| answer.is_err()).count();
    }
    failed += world.settle().iter().filter(|(_, answer)| answer.is_err()).count();
    assert_eq!(failed, 0, "small gets have failed, as others go away");
}
