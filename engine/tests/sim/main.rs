#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::panic, missing_docs)]

//! The client in a simulated network.
//!
//! Everything is decided by one number: the cluster, the operations, the network, what goes wrong and when. So a run
//! that fails can be had again with `SIM_SEED=n`; `SIM_SECONDS=n` looks for new ones for so long, and `SIM_RUNS=n` makes
//! the first n, which are always the same. What has to hold is in `checks` and in [`World`](world::World): one answer for
//! each operation and in time, nobody else's bytes, nothing carried out that was said not to be, bounded numbers of
//! everything, and everything well again when the network is. [`progress`] has what hangs, and how much of the rest may
//! fail for it.
//!
//! In it are all verbs and what is asked of servers themselves, batches, leases with those who wait, stale items,
//! coalescing, subsets, stand-ins, backup servers, lists of servers that change with any hash, several addresses and workers who share what they know, servers that are taken out of
//! use, modules with their shares, retries, large values and exits. Not in it: items that expire, and what another
//! process finds out while this one is inside a call (`worker_memory.rs` among the client's tests). `make mutants` shows what
//! the checks are good for: a check that none of those needs finds nothing.

mod chaos;
mod checks;
mod cluster;
mod command;
mod faults;
mod habits;
mod members;
mod network;
mod op;
mod progress;
mod server;
mod session;
mod shares;
mod workload;
mod world;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant as Clock};

use fastrand::Rng;
use memcache_engine::{Error, Hash, LongKeys, Loss};

use crate::chaos::Chaos;
use crate::habits::Habits;
use crate::network::Weather;
use crate::server::{credentials, Access, Speaks};
use crate::workload::Workload;
use crate::world::World;

/// Runs that are always made: their number is the seed.
const FIXED: u64 = 6;
/// How long to look for others, unless it is said.
const SECONDS: u64 = 2;

/// What a run came to.
#[derive(Default)]
struct Sum {
    turns: u64,
    operations: u64,
    /// In simulated time.
    time: Duration,
    tally: std::collections::BTreeMap<&'static str, u64>,
}

#[test]
fn simulation() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let started = Clock::now();
    let mut sum = Sum::default();
    let mut runs = 0u64;
    let mut go = |seed| {
        runs += 1;
        let run = std::panic::catch_unwind(AssertUnwindSafe(|| {
            run(seed, &mut sum);
            progress::one_connection(seed);
            progress::one_key(seed);
            progress::one_server(seed);
            progress::no_sockets(seed);
            progress::other_keys(seed);
            progress::deserters(seed);
            shares::flood(seed);
            shares::full(seed);
        }));
        if let Err(panic) = run {
            eprintln!("after {runs} runs, {:.1} s: run again with SIM_SEED={seed}", started.elapsed().as_secs_f64());
            std::panic::resume_unwind(panic);
        }
    };
    match number("SIM_SEED") {
        Some(seed) => go(seed),
        None => {
            let (runs, seconds) = (number("SIM_RUNS"), number("SIM_SECONDS"));
            let fixed = runs.unwrap_or(if seconds.is_some() { 0 } else { FIXED });
            (0..fixed).for_each(&mut go);
            let seconds = seconds.unwrap_or(if runs.is_some() { 0 } else { SECONDS });
            let until = started.elapsed() + Duration::from_secs(seconds);
            while started.elapsed() < until {
                go(Rng::new().u64(..));
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{runs} runs, {} operations, {} turns ({:.0} per second), {:.2} h in {seconds:.0} s: {:?}",
        sum.operations,
        sum.turns,
        sum.turns as f64 / seconds,
        sum.time.as_secs_f64() / 3600.0,
        sum.tally,
    );
}

/// One run: turbulence, then calm in which everything has to be well, then the end.
fn run(seed: u64, sum: &mut Sum) {
    let mut rng = Rng::with_seed(seed);
    let mut config = cluster::config(&mut rng);
    let mut of_backups = Rng::with_seed(seed ^ 0x6261_636b);
    if of_backups.u8(..) < 64 {
        cluster::add_backups(&mut config, &mut of_backups);
    }
    let mut of_members = Rng::with_seed(seed ^ 0x6d65_6d62);
    let moves = of_members.u8(..) < 110;
    if moves {
        config.hash = Hash::ALL[of_members.usize(..Hash::ALL.len())];
        if config.check_weights().is_err() {
            config.servers.iter_mut().for_each(|server| server.weight = 1);
        }
    }
    // Some names are not resolved yet.
    let mut of_names = Rng::with_seed(seed ^ 0x6e61_6d65);
    if of_names.u8(..) < 64 {
        let unresolved = config.servers.iter_mut().filter(|_| of_names.bool());
        unresolved.for_each(|server| server.addresses = 0);
    }
    let (max_value, queue) = (config.max_value, config.queue);
    let mut workload = Workload::new(&mut rng, max_value);
    if config.keys.long_keys == LongKeys::Hash {
        workload.add_key(vec![b'x'; 400]);
    }
    // By numbers of its own, so that the other runs stay what they are. Three runs of four are meta only. In one of these
    // somebody meddles with replies all the time: text has no tokens that show it.
    let mut of_text = Rng::with_seed(seed ^ 0x7465_7874);
    let in_text = seed % 4 == 3;
    workload.in_text = in_text;
    let mut of_access = Rng::with_seed(seed ^ 0x6163_6365);
    config.credentials = credentials().filter(|_| of_access.u8(..) < 96);
    let has_password = config.credentials.is_some();
    let mut chaos = Chaos { every: [20_000, 200_000, 2_000_000][rng.usize(..3)], meddling: rng.bool(), in_text };
    if seed % 4 == 0 {
        (chaos.every, chaos.meddling) = (20_000, true);
    }
    let mut world = World::of(config, rng.u64(..), [1, 1, 2, 3][rng.usize(..4)]);
    if rng.u8(..) < 64 {
        let servers: Vec<usize> = (0..world.servers.len()).filter(|_| rng.bool()).collect();
        if servers.iter().any(|&id| !world.servers[id].backup) {
            workload.use_subset(&mut world, &servers);
        }
    }
    let mut of_modules = Rng::with_seed(seed ^ 0x6d6f_6475);
    workload.use_modules(&mut world, [1, 1, 2, 4][of_modules.usize(..4)]);
    let started = world.now;
    world.ledger.meddled = chaos.meddling;
    world.ledger.in_text = in_text;
    world.ledger.moves = moves;
    world.habits = Habits::random(&mut rng);
    for server in &mut world.servers {
        server.weather = if rng.bool() { Weather::random(&mut rng) } else { Weather::fair() };
        server.bare_misses = rng.u8(..) < 64;
        if in_text {
            let kinds = [Speaks::Meta, Speaks::MetaProxy, Speaks::Text, Speaks::Text, Speaks::Proxy, Speaks::Router];
            server.speaks = kinds[of_text.usize(..kinds.len())];
        }
        if has_password && server.speaks != Speaks::Proxy && of_access.bool() {
            server.access = Access::Password;
        }
        world.ledger.vague_misses |= server.bare_misses && chaos.meddling;
    }

    let length = Duration::from_secs(rng.u64(1..20));
    turbulence(&mut world, &mut workload, &chaos, length, &mut rng, &mut of_members);
    if rng.u8(..) < 64 {
        // The worker exits in the middle of it.
        world.drain();
        turbulence(&mut world, &mut workload, &chaos, Duration::from_secs(2), &mut rng, &mut of_members);
        if rng.bool() {
            // nginx insists.
            world.each(|world| {
                // What has not been sent yet may have connections of its own, and others may be full or late.
                let Some(view) = world.worker.client.server(0) else { return };
                if view.queued + view.connecting > 0 || view.open > 1 {
                    return;
                }
                let before = world.worker.opened.clone();
                world.conns(0).into_iter().for_each(|conn| world.lose(conn, Loss::Closing));
                assert_eq!(world.worker.opened, before, "connections are opened as nginx closes them");
            });
        }
        world.heal();
        workload.abort(&mut world);
    } else {
        recover(&mut world, &mut workload, queue, &mut rng, &mut of_members);
    }
    end(&mut world);

    sum.turns += world.turns;
    sum.time += world.now.since(started);
    for (what, count) in &world.ledger.tally {
        sum.operations += count;
        *sum.tally.entry(what).or_default() += count;
    }
}

fn turbulence(
    world: &mut World,
    workload: &mut Workload,
    chaos: &Chaos,
    length: Duration,
    rng: &mut Rng,
    of_members: &mut Rng,
) {
    let every = [1_000, 100_000, 1_000_000][of_members.usize(..3)];
    let mut change = world.now;
    let until = world.now.after(length);
    // Byte by byte it takes long, and shows no more.
    let most = world.turns + 50_000;
    let pace = [200, 5_000, 100_000][rng.usize(..3)];
    let mut work = world.now;
    let mut fault = world.now;
    while world.now < until && world.turns < most {
        world.turn(work.min(fault).max(world.now));
        if world.now >= work {
            workload.turn(world);
            work = world.now.after(Duration::from_micros(rng.u64(..2 * pace * workload.burst as u64)));
        }
        if world.now >= fault {
            chaos.strike(world);
            fault = world.now.after(Duration::from_micros(rng.u64(..2 * chaos.every)));
        }
        if world.ledger.moves && world.now >= change && world.lists.len() < 300 {
            members(world, of_members);
            change = world.now.after(Duration::from_micros(of_members.u64(..2 * every)));
        }
    }
}

/// There is another list of servers, or a worker takes it over.
fn members(world: &mut World, rng: &mut Rng) {
    if rng.bool() {
        world.announce(rng);
    }
    let at = world.at;
    world.switch(rng.usize(..world.count()));
    world.take_over();
    world.switch(at);
}

/// Everything works again: all servers are found, every operation succeeds, and pools shrink to what they should be.
fn recover(world: &mut World, workload: &mut Workload, queue: usize, rng: &mut Rng, of_members: &mut Rng) {
    world.catch_up();
    world.heal();
    if rng.bool() {
        // A last blow to every connection, so that it does not depend on them.
        world.each(|world| {
            let now = world.now;
            world.worker.links.values_mut().for_each(|link| link.hang_up(Loss::Error, true, now));
        });
    }
    // The longest pause between two probes, and what is under way.
    world.run(Duration::from_secs(60 * 5 / 4 + 10));
    world.each(|world| {
        assert!(world.down().is_empty(), "servers {:?} are up, and nobody has noticed", world.down());
    });
    assert_eq!(world.pending(), 0, "everything had a deadline");
    world.done.clear();
    world.ledger.meddled = false;
    workload.patient = true;

    for n in 0..50 {
        world.switch(n % world.count());
        for _ in 0..rng.usize(1..=queue.min(20)) {
            let refused = workload.submit(world);
            let cannot = matches!(refused, Some(Error::Unsupported(_) | Error::InvalidKey(_)));
            let unknown = world.ledger.moves && refused == Some(Error::NoSuchServer);
            let alone = workload.is_alone(world) && refused == Some(Error::ServerDown);
            let fine = unknown || alone || (cannot && workload.in_text);
            assert!(refused.is_none() || fine, "all is well: {refused:?}");
            if world.ledger.moves && of_members.u8(..) < 16 {
                // No operation fails for it.
                world.announce(of_members);
                world.take_over();
                (0..world.servers.len()).for_each(|id| world.find(id));
            }
        }
        for (number, answer) in world.settle() {
            // Counting a text, and an item that has grown by appending, are nobody's fault.
            let fine = matches!(answer, Ok(_) | Err(Error::Client(_) | Error::TooLarge { .. }));
            let cannot = matches!(answer, Err(Error::Unsupported(_) | Error::InvalidKey(_)));
            let unknown = world.ledger.moves && answer == Err(Error::NoSuchServer);
            let alone = workload.is_alone(world) && answer == Err(Error::ServerDown);
            let closed = workload.alone.contains(&number) && matches!(answer, Err(Error::Unknown { .. }));
            let fine = fine || unknown || alone || closed || (cannot && workload.in_text);
            assert!(fine, "all is well, but operation {number} ended with {answer:?}");
        }
        world.run(Duration::from_millis(10));
    }

    // The longest time that they may idle, after the last one to look whether an earlier address works.
    world.run(Duration::from_secs(60 + 60 * 5 / 4 + 2));
    world.each(at_rest);
}

/// A worker's pools are as they should be.
fn at_rest(world: &mut World) {
    for id in 0..world.servers.len() {
        let Some(view) = world.worker.client.server(id) else {
            assert!(world.conns(id).is_empty(), "server {id} has left, and has connections");
            continue;
        };
        let pool = view.config.pool;
        assert_eq!((view.busy, view.connecting, view.pending, view.queued), (0, 0, 0, 0), "server {id} at rest");
        assert!(view.open >= pool.min() as usize, "server {id} has fewer connections than `min`");
        assert!(view.open <= pool.smax() as usize || pool.ttl() == 0, "server {id} has more than `smax`, for long");
    }
}

/// A graceful exit ends, and leaves nothing.
fn end(world: &mut World) {
    world.drain();
    // The longest deadline of an operation, and once more for its connection.
    world.run(Duration::from_secs(60));
    assert_eq!(world.pending(), 0);
    world.each(|world| assert_eq!(world.worker.links.len(), 0, "connections are left"));
    let opened = |world: &mut World| {
        let mut all = Vec::new();
        world.each(|world| all.push(world.worker.opened.clone()));
        all
    };
    let before = opened(world);
    world.run(Duration::from_secs(1_000));
    assert_eq!(opened(world), before, "connections are opened for nobody");
}
