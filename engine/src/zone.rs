//! Memory that several processes share: which worker counts where, and which memory belongs to which server.
//!
//! A worker counts in a slot of its own, and the slots of all are summed when they are read. What a worker has counted
//! stays when it exits or crashes: the next one in its slot goes on from there. A worker for which there is no slot, or no
//! memory behind it, adds what it counts to memory that all such workers share. So the sums only grow, through crashes
//! and reloads.

use std::sync::atomic::{AtomicU64, Ordering};

use md5::{Digest, Md5};

use crate::config::Config;
use crate::health::Board;
use crate::metrics::counter::Counter;
use crate::stats::Counters;

mod ledger;

pub use ledger::{Ledger, Processes};

/// The version of what lies in shared memory. Its sizes are part of it.
pub const LAYOUT: u64 = (2 << 48) | ((size_of::<Board>() as u64) << 32) | size_of::<Counters>() as u64;

/// A worker's place in shared memory. Zeros are a place that nobody has.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Slot {
    pid: AtomicU64,
    generation: Counter,
}

impl Slot {
    /// The process that has it, and the configuration that it works with.
    pub fn holder(&self) -> Option<(u32, u64)> {
        let pid = u32::try_from(self.pid.load(Ordering::Acquire)).ok().filter(|&pid| pid > 0)?;
        Some((pid, self.generation.get()))
    }

    /// Gives the place up, if this process has it.
    pub fn release(&self, pid: u32) {
        let _ = self.pid.compare_exchange(pid.into(), 0, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn take(&self, from: u32, pid: u32, generation: u64) -> bool {
        let taken = self.pid.compare_exchange(from.into(), pid.into(), Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if taken {
            self.generation.set(generation);
        }
        taken
    }
}

/// Takes a place for a process: that of one that has died, or else a free one; which of them. `None`: all are in use.
pub fn claim<'a>(
    slots: impl Iterator<Item = &'a Slot> + Clone,
    pid: u32,
    generation: u64,
    alive: impl Fn(u32) -> bool,
) -> Option<usize> {
    let dead = |slot: &Slot| slot.holder().map(|(pid, _)| pid).filter(|&holder| holder == pid || !alive(holder));
    let of_dead = |slot: &Slot| dead(slot).is_some_and(|holder| slot.take(holder, pid, generation));
    let free = |slot: &Slot| slot.holder().is_none() && slot.take(0, pid, generation);
    slots.clone().position(of_dead).or_else(|| slots.clone().position(free))
}

/// What tells a server in a configuration from all others: 128 bits that are the same whenever it is configured the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerKey([u8; 16]);

/// A piece of a server's memory.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// The [`Board`] of the server at these socket addresses. What is known of a server belongs to where it is: when its
    /// name leads elsewhere, nothing is known.
    Board(&'a [u8]),
    /// The [`Counters`] of the workers in this table of slots. They belong to the name.
    Slots(usize),
    /// The [`Counters`] of all workers that have none of their own.
    Rest,
}

impl ServerKey {
    /// The key of a piece of the server's memory.
    pub fn of(&self, piece: Piece<'_>) -> ServerKey {
        let all = Md5::new().chain_update(self.0);
        let all = match piece {
            Piece::Board(addresses) => all.chain_update("board ").chain_update(addresses),
            Piece::Slots(table) => all.chain_update(format!("slots {table}")),
            Piece::Rest => all.chain_update("rest"),
        };
        ServerKey(all.finalize().into())
    }
}

/// The keys of the servers of some clients, in their order. A server is the same in another configuration if its name is
/// and all settings of its client are; its weight and pool may differ, and the client's other servers.
pub fn keys<'a>(configs: impl IntoIterator<Item = &'a Config>) -> Vec<Vec<ServerKey>> {
    let mut taken: Vec<ServerKey> = Vec::new();
    let mut key = |config: &Config, name: &[u8]| {
        // Clients with the same settings may share a server: each has its own.
        let mut nth = 0u32;
        loop {
            let key = key(config, name, nth);
            if !taken.contains(&key) {
                taken.push(key);
                return key;
            }
            nth = nth.saturating_add(1);
        }
    };
    let mut keys = |config: &Config| config.servers.iter().map(|server| key(config, &server.name)).collect();
    configs.into_iter().map(&mut keys).collect()
}

fn key(config: &Config, name: &[u8], nth: u32) -> ServerKey {
    let Config {
        servers: _,
        hash,
        failover,
        timeout,
        connect_timeout,
        max_fails,
        retry,
        pipeline,
        queue,
        coalesce,
        max_value,
        prefix,
    } = config;
    let settings = format!(
        "{} {} {timeout:?} {connect_timeout:?} {max_fails} {retry:?} {pipeline} {queue} {coalesce} {max_value} {} {nth} ",
        hash.name(),
        failover.name(),
        prefix.escape_ascii(),
    );
    ServerKey(Md5::new().chain_update(settings).chain_update(name).finalize().into())
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{ServerConfig, ServerParams};

    fn slots(count: usize) -> Vec<Slot> {
        (0..count).map(|_| Slot::default()).collect()
    }

    #[test]
    fn the_dead_are_replaced_first_and_the_living_are_left_alone() {
        let slots = slots(3);
        assert_eq!(claim(slots.iter(), 10, 1, |_| true), Some(0));
        assert_eq!(claim(slots.iter(), 11, 1, |_| true), Some(1));
        assert_eq!(claim(slots.iter(), 12, 2, |pid| pid != 11), Some(1));
        assert_eq!(slots[1].holder(), Some((12, 2)));
        assert_eq!(claim(slots.iter(), 13, 2, |_| true), Some(2));
        assert_eq!(claim(slots.iter(), 14, 2, |_| true), None);
        slots[0].release(99);
        assert_eq!(slots[0].holder(), Some((10, 1)), "it is not its own");
        slots[0].release(10);
        assert_eq!(claim(slots.iter(), 14, 2, |_| true), Some(0));
        assert_eq!(claim(slots.iter(), 14, 3, |_| true), Some(0), "a number that was used again");
    }

    #[test]
    fn two_that_claim_at_once_get_different_slots() {
        let slots = slots(8);
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=8)
                .map(|pid| {
                    scope.spawn({
                        let slots = &slots;
                        move || claim(slots.iter(), pid, 1, |_| true)
                    })
                })
                .collect();
            let mut taken: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect();
            taken.sort_unstable();
            taken
        });
        assert_eq!(taken, (0..8).collect::<Vec<_>>());
    }

    fn config(names: &[&str]) -> Config {
        let (pool, weight) = ServerParams::default().finish().unwrap();
        let server = |name: &&str| ServerConfig { name: name.to_string().into(), addresses: 1, pool, weight };
        Config::new(names.iter().map(server).collect())
    }

    #[test]
    fn a_server_is_the_same_by_its_name_and_its_clients_settings() {
        let before = keys([&config(&["a:1", "b:1"])]);
        let mut after = config(&["c:1", "b:1"]);
        after.servers[1].weight = 7;
        let after = keys([&after]);
        assert_eq!(before[0][1], after[0][1]);
        assert_ne!(before[0][0], after[0][0]);
        let other = Config { timeout: Duration::from_secs(9), ..config(&["b:1"]) };
        assert_ne!(keys([&other])[0][0], before[0][1]);
        let prefix = Config { prefix: "p".into(), ..config(&["b:1"]) };
        assert_ne!(keys([&prefix])[0][0], before[0][1]);
        let twice = keys([&config(&["a:1", "b:1"]), &config(&["b:1"])]);
        assert_ne!(twice[0][1], twice[1][0], "two clients");
        assert_eq!(twice[0], before[0]);
    }

    #[test]
    fn r45_what_is_known_belongs_to_the_address_and_what_is_counted_to_the_name() {
        let [a] = keys([&config(&["a:1"])])[0][..] else { panic!() };
        assert_eq!(a.of(Piece::Board(b"10.0.0.1")), a.of(Piece::Board(b"10.0.0.1")));
        let all = [
            a,
            a.of(Piece::Board(b"10.0.0.1")),
            a.of(Piece::Board(b"10.0.0.2")),
            a.of(Piece::Board(b"")),
            a.of(Piece::Slots(0)),
            a.of(Piece::Slots(1)),
            a.of(Piece::Rest),
        ];
        assert!((0..all.len()).all(|at| !all[..at].contains(&all[at])));
    }
}
