//! Memory that several processes share: which worker counts where, and which memory belongs to which server.
//!
//! A worker counts in a slot of its own, and the slots of all are summed when they are read. What a worker has counted
//! stays when it exits or crashes: the next one in its slot goes on from there. So the sums only grow, through crashes
//! and reloads.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};

use md5::{Digest, Md5};

use crate::config::Config;
use crate::health::Board;
use crate::stats::{Counter, Counters};

/// The version of what lies in shared memory. Its sizes are part of it.
pub const LAYOUT: u64 = (1 << 48) | ((size_of::<Board>() as u64) << 32) | size_of::<Counters>() as u64;

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

/// Takes a place for a process: that of one that has died, or else a free one. `None`: all are in use.
pub fn claim(slots: &[Slot], pid: u32, generation: u64, alive: impl Fn(u32) -> bool) -> Option<usize> {
    let dead = |slot: &Slot| slot.holder().map(|(pid, _)| pid).filter(|&holder| holder == pid || !alive(holder));
    let of_dead = slots.iter().position(|slot| dead(slot).is_some_and(|holder| slot.take(holder, pid, generation)));
    of_dead.or_else(|| slots.iter().position(|slot| slot.holder().is_none() && slot.take(0, pid, generation)))
}

/// What tells a server in a configuration from all others: 128 bits that are the same whenever it is configured the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerKey([u8; 16]);

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

/// Which memory belongs to which server, over all configurations that nginx has read. `R` is a piece of memory.
#[derive(Debug)]
pub struct Ledger<R> {
    generation: u64,
    entries: Vec<Entry<R>>,
}

#[derive(Debug)]
struct Entry<R> {
    key: ServerKey,
    slots: usize,
    record: R,
    /// The last configuration that has this server.
    used: u64,
}

impl<R: Copy> Default for Ledger<R> {
    fn default() -> Self {
        Ledger { generation: 0, entries: Vec::new() }
    }
}

impl<R: Copy> Ledger<R> {
    /// A new configuration begins; its number.
    pub fn begin(&mut self) -> u64 {
        self.generation = self.generation.saturating_add(1);
        self.generation
    }

    /// The server's memory, if it has any with so many slots.
    pub fn find(&mut self, key: ServerKey, slots: usize) -> Option<R> {
        let entry = self.entries.iter_mut().find(|entry| entry.key == key && entry.slots >= slots)?;
        entry.used = self.generation;
        Some(entry.record)
    }

    /// Memory of the server with fewer slots, whose sums go on in larger memory.
    pub fn smaller(&self, key: ServerKey) -> Option<R> {
        self.entries.iter().rfind(|entry| entry.key == key).map(|entry| entry.record)
    }

    /// The server has memory from now on.
    pub fn add(&mut self, key: ServerKey, slots: usize, record: R) {
        self.entries.push(Entry { key, slots, record, used: self.generation });
    }

    /// Takes out what nobody uses: neither the configuration that runs, nor the one that is to replace it, nor a worker of
    /// an earlier one. `workers` are the configurations of the workers that are alive.
    pub fn expire(&mut self, running: u64, workers: &[u64]) -> Vec<R> {
        let generation = self.generation;
        let unused = |entry: &Entry<R>| {
            entry.used < generation && entry.used < running && workers.iter().all(|&worker| worker > entry.used)
        };
        let (unused, used): (Vec<_>, Vec<_>) = mem::take(&mut self.entries).into_iter().partition(unused);
        self.entries = used;
        unused.into_iter().map(|entry| entry.record).collect()
    }
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
        assert_eq!(claim(&slots, 10, 1, |_| true), Some(0));
        assert_eq!(claim(&slots, 11, 1, |_| true), Some(1));
        assert_eq!(claim(&slots, 12, 2, |pid| pid != 11), Some(1));
        assert_eq!(slots[1].holder(), Some((12, 2)));
        assert_eq!(claim(&slots, 13, 2, |_| true), Some(2));
        assert_eq!(claim(&slots, 14, 2, |_| true), None);
        slots[0].release(99);
        assert_eq!(slots[0].holder(), Some((10, 1)), "it is not its own");
        slots[0].release(10);
        assert_eq!(claim(&slots, 14, 2, |_| true), Some(0));
        assert_eq!(claim(&slots, 14, 3, |_| true), Some(0), "a number that was used again");
    }

    #[test]
    fn two_that_claim_at_once_get_different_slots() {
        let slots = slots(8);
        let taken = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=8)
                .map(|pid| {
                    scope.spawn({
                        let slots = &slots;
                        move || claim(slots, pid, 1, |_| true)
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
    fn memory_is_kept_while_anybody_may_use_it() {
        let [a, b] = keys([&config(&["a:1", "b:1"])])[0][..] else { panic!() };
        let mut ledger = Ledger::default();
        assert_eq!(ledger.begin(), 1);
        assert_eq!(ledger.find(a, 4), None);
        ledger.add(a, 4, "a");
        ledger.add(b, 4, "b");

        ledger.begin();
        assert_eq!(ledger.find(a, 4), Some("a"));
        assert_eq!(ledger.expire(1, &[1, 1]), [""; 0], "the configuration that runs has b");

        // That configuration was not taken after all; the next one is.
        ledger.begin();
        assert_eq!(ledger.find(a, 4), Some("a"));
        assert_eq!(ledger.expire(1, &[1, 1]), [""; 0]);

        ledger.begin();
        assert_eq!(ledger.find(a, 4), Some("a"));
        assert_eq!(ledger.expire(3, &[3, 1]), [""; 0], "a worker of the first one is still there");

        ledger.begin();
        assert_eq!(ledger.find(a, 4), Some("a"));
        assert_eq!(ledger.expire(4, &[4, 3]), ["b"]);
        assert_eq!(ledger.find(b, 4), None);
    }

    #[test]
    fn more_workers_need_larger_memory() {
        let [a] = keys([&config(&["a:1"])])[0][..] else { panic!() };
        let mut ledger = Ledger::default();
        ledger.begin();
        ledger.add(a, 4, 4);
        ledger.begin();
        assert_eq!(ledger.find(a, 10), None);
        assert_eq!(ledger.smaller(a), Some(4));
        ledger.add(a, 10, 10);
        ledger.begin();
        assert_eq!(ledger.find(a, 10), Some(10));
        assert_eq!(ledger.expire(2, &[2]), [4]);
    }
}
