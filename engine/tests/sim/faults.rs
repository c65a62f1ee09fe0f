//! Rows of the fault matrix that take time or a full socket. The others are next to the client.

use std::time::Duration;

use bytes::Bytes;
use memcache_engine::{CallId, Config, Error, Instant, Outcome, Request, ServerConfig, ServerParams, State};
use memcache_engine::{StoreMode, Ttl, Verb, MAX_BACKLOG, PATIENCE};

use crate::network::Weather;
use crate::op::Op;
use crate::server::Mode;
use crate::world::World;

const SECOND: Duration = Duration::from_secs(1);

/// A server with this pool.
fn world(params: &[&str], seed: u64, change: impl FnOnce(&mut Config)) -> World {
    let mut parsed = ServerParams::default();
    params.iter().for_each(|param| parsed.parse(param.as_bytes()).unwrap());
    let (pool, weight) = parsed.finish().unwrap();
    let mut config =
        Config::new(vec![ServerConfig { name: "10.0.0.1:11211".into(), addresses: 1, pool, weight, backup: false }]);
    change(&mut config);
    World::new(config, seed)
}

/// Submits an operation with this number.
fn submit(world: &mut World, number: u64, key: &str, verb: Verb) -> Result<CallId, Error> {
    let request = Request { key: key.as_bytes(), verb: verb.clone(), timeout: None };
    let answer = world.worker.client.submit(request, number, world.now);
    world.obey();
    let call = answer.map_err(|rejected| rejected.error)?;
    let deadline = world.now.after(world.worker.client.config().timeout);
    let latest = deadline.after(world.worker.client.config().timeout * u32::from(PATIENCE));
    let op = Op::new(call, 0, 0, key.into(), Some(verb), [world.now, deadline, latest]);
    world.ledger.accepted(number, op);
    Ok(call)
}

fn get(world: &mut World, number: u64, key: &str) {
    submit(world, number, key, Verb::Get { touch: None }).unwrap();
}

fn set(number: u32, len: usize) -> Verb {
    let value = Bytes::from(number.to_le_bytes().repeat(len / 4));
    Verb::Store { mode: StoreMode::Set, value, flags: number, ttl: Ttl::NEVER, cas: 0 }
}

/// What was answered until now.
fn done(world: &mut World) -> Vec<(u64, Result<Outcome, Error>)> {
    std::mem::take(&mut world.done)
}

fn small_buffers() -> Weather {
    Weather { buffer: 4096, ..Weather::fair() }
}

#[test]
fn f12_a_reply_that_drips() {
    let mut w = world(&["max=1"], 1, |_| ());
    submit(&mut w, 1, "k", set(1, 100)).unwrap();
    assert_eq!(w.settle(), [(1, Ok(Outcome::Done))]);
    w.servers[0].weather = Weather { piece: 1, gap: 300_000, ..Weather::fair() };
    let (turns, deadline) = (w.turns, w.now.after(SECOND));
    get(&mut w, 2, "k");
    w.posted();
    while w.worker.client.pending() > 0 {
        w.turn(Instant::from_micros(u64::MAX));
    }
    assert_eq!(done(&mut w), [(2, Err(Error::Timeout { maybe_applied: false }))]);
    assert_eq!(w.now, deadline, "however many bytes came meanwhile");
    assert!(w.turns - turns < 20, "{} turns: it does not spin", w.turns - turns);
}

/// The socket takes a megabyte in pieces; what is answered meanwhile is read meanwhile.
#[test]
fn f31_partial_writes() {
    let mut w = world(&["max=1"], 1, |_| ());
    submit(&mut w, 1, "small", set(1, 400)).unwrap();
    w.settle();
    w.servers[0].weather = small_buffers();
    (2..102).for_each(|number| get(&mut w, number, "small"));
    submit(&mut w, 102, "large", set(102, Config::MAX_VALUE)).unwrap();
    w.posted();
    let mut while_blocked = 0;
    while w.worker.client.pending() > 0 {
        w.turn(w.now.after(SECOND));
        let blocked = w.worker.links.values().any(|link| link.blocked);
        while_blocked += if blocked { done(&mut w).len() } else { 0 };
    }
    assert!(while_blocked >= 90, "{while_blocked} replies were read while writing was blocked");
    get(&mut w, 103, "large");
    let answers = w.settle();
    assert!(matches!(answers[..], [.., (103, Ok(Outcome::Item(_)))]), "{answers:?}");
}

/// Nothing waits for ever, and nothing that waits is without bound.
#[test]
fn f32_a_peer_that_does_not_read() {
    let mut w = world(&["max=2"], 1, |config| config.queue = 100_000);
    submit(&mut w, 1, "k", set(1, 4)).unwrap();
    w.settle();
    w.servers[0].stalled = true;
    w.servers[0].weather = small_buffers();
    let mut accepted = 0;
    let refused = (2..200).filter(|&number| {
        let answer = submit(&mut w, u64::from(number), "k", set(number, Config::MAX_VALUE));
        accepted += usize::from(answer.is_ok());
        matches!(answer, Err(Error::Busy))
    });
    let refused = refused.count();
    assert_eq!(accepted + refused, 198);
    assert!(accepted <= MAX_BACKLOG / Config::MAX_VALUE, "{accepted} megabytes wait");
    let before = w.conns(0);
    w.posted();
    w.run(SECOND);
    assert_eq!(w.worker.client.pending(), 0);
    assert!(done(&mut w).iter().all(|(_, answer)| matches!(answer, Err(Error::Timeout { .. }))));
    w.run(SECOND * 2);
    assert!(!w.conns(0).iter().any(|conn| before.contains(conn)), "what blocks is closed");
    w.servers[0].stalled = false;
    w.run(SECOND * 10);
    submit(&mut w, 300, "k", set(300, Config::MAX_VALUE)).unwrap();
    w.servers[0].weather = Weather::fair();
    assert_eq!(w.settle(), [(300, Ok(Outcome::Done))]);
}

/// The server does not read while it cannot write; so the client has to.
#[test]
fn f33_both_directions_are_full() {
    let mut w = world(&["max=1"], 1, |config| config.timeout = SECOND * 20);
    submit(&mut w, 1, "k", set(1, 200_000)).unwrap();
    w.settle();
    w.servers[0].weather = small_buffers();
    for number in 1..20 {
        get(&mut w, 2 * number, "k");
        submit(&mut w, 2 * number + 1, "k", set(2 * number as u32 + 1, 200_000)).unwrap();
    }
    let answers = w.settle();
    assert_eq!(answers.len(), 38);
    assert!(answers.iter().all(|(_, answer)| answer.is_ok()));
    assert_eq!(w.worker.opened, [1]);
}

/// A server that answers the handshake and nothing else is not reconnected to at full speed, with or without traffic.
#[test]
fn f39_a_server_that_hangs_up() {
    for traffic in [false, true] {
        let mut w = world(&["min=2", "max=4"], 1, |_| ());
        w.servers[0].mode = Mode::Fickle;
        let mut number = 0;
        for _ in 0..1_000 {
            number += 1;
            if traffic {
                let _ = submit(&mut w, number, "k", Verb::Get { touch: None });
            }
            w.run(Duration::from_millis(10));
        }
        assert!(w.worker.opened[0] < 500, "{} connects in ten seconds, with traffic: {traffic}", w.worker.opened[0]);
        w.heal();
        w.run(Duration::from_secs(75));
        get(&mut w, number + 1, "k");
        assert_eq!(w.settle().pop(), Some((number + 1, Ok(Outcome::Miss))));
    }
}

/// After a restart of the server, the workers come back one after the other, each with few connects.
#[test]
fn f40_no_herd() {
    let mut back = Vec::new();
    for seed in 0..8 {
        let mut w = world(&["min=2", "max=8"], seed, |_| ());
        w.run(SECOND);
        w.servers[0].mode = Mode::Nobody;
        w.kill(0, memcache_engine::Loss::Error, true);
        let start = w.worker.opened[0];
        for number in 0..100_000 {
            let _ = submit(&mut w, number + 1, "k", Verb::Get { touch: None });
            w.run(Duration::from_millis(1));
        }
        assert_eq!(w.worker.client.server(0).unwrap().state, State::Down);
        assert!(w.worker.opened[0] - start < 15, "{} connects in 100 seconds", w.worker.opened[0] - start);
        w.heal();
        let (start, healed) = (w.worker.opened[0], w.now);
        while w.worker.client.server(0).unwrap().state == State::Down {
            w.turn(w.now.after(SECOND));
        }
        back.push(w.now.since(healed));
        w.run(SECOND);
        assert!(w.worker.opened[0] - start <= 8, "{} connects", w.worker.opened[0] - start);
    }
    back.sort_unstable();
    assert!(back.windows(2).all(|pair| pair[1] - pair[0] > Duration::from_millis(10)), "all at once: {back:?}");
}

/// Replies that came while the worker was stopped are read before anything is late.
#[test]
fn f58_a_worker_that_was_stopped() {
    let mut w = world(&["max=1"], 1, |_| ());
    get(&mut w, 1, "k");
    w.settle();
    (2..20).for_each(|number| get(&mut w, number, "k"));
    w.posted();
    let requests = w.servers[0].requests + 18;
    while w.servers[0].requests < requests {
        w.turn(w.now.after(SECOND));
    }
    assert!(w.worker.client.pending() > 0);
    w.stop(SECOND * 2);
    w.turn(w.now.after(SECOND));
    let answers = w.settle();
    assert!(answers.iter().all(|(_, answer)| answer.is_ok()), "{answers:?}");
}

#[test]
fn f53_a_worker_without_sockets_takes_nobody_for_down() {
    (0..8).for_each(crate::progress::no_sockets);
}

/// What nginx closes as it exits ends there: nothing is sent again, and no connection is opened for it.
#[test]
fn f48_what_is_closed_at_the_exit_is_not_sent_again() {
    for seed in 0..8 {
        let mut w = world(&["min=2", "max=2"], seed, |_| ());
        get(&mut w, 1, "k");
        w.settle();
        w.servers[0].stalled = true;
        (2..20).for_each(|number| get(&mut w, number, "k"));
        w.run(SECOND / 10);
        w.drain();
        let opened = w.worker.opened[0];
        w.conns(0).into_iter().for_each(|conn| w.lose(conn, memcache_engine::Loss::Closing));
        w.servers[0].stalled = false;
        let answers = w.settle();
        assert_eq!(answers.len(), 18);
        for (number, answer) in answers {
            assert_eq!(answer, Err(Error::Shutdown { maybe_applied: false }), "operation {number}");
        }
        assert_eq!(w.worker.opened[0], opened, "no connection is opened for what has ended");
    }
}
