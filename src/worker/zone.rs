//! `memcache_zone`: the memory that all workers share.
//!
//! nginx makes the zone and passes it from one configuration to the next. Only the master allocates in it, after it has
//! read a configuration. Workers only read and write atomic numbers, so that a crash leaves nothing locked or incomplete.
//! The master knows what the memory is used for, and workers inherit that. The zone itself contains no pointers.
//!
//! After a crash, the master checks the process before it reads a configuration. The new nginx of an upgrade has its own
//! zone. Without a master there is no zone: the old configuration would still run in the process that unmaps its zone.

#![forbid(unsafe_code)]

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use memcache_engine::limits::MAX_RECORDS;
use memcache_engine::shared::{claim, keys, Piece, ServerKey, Slot};
use memcache_engine::{ServerMemory, WorkerMemory};
use memcache_status::snapshot::Worker;

use super::cluster::{labels, Cluster};
use super::record::Record;
use crate::driver::host::Host;
use crate::nginx::conf::{Conf, LineError, Position};
use crate::nginx::cycle::Cycle;
use crate::nginx::log::Log;
use crate::nginx::process::{is_alive, pid};
use crate::nginx::shm::{self, need, HasZone, Memory, Registry};

/// A zone as configured, and this configuration's part of it.
pub struct Zone {
    name: String,
    size: usize,
    position: Position,
    /// The cycle that the directive belongs to.
    cycle: Cycle<'static>,
    content: RefCell<Option<Content>>,
}

/// The content of a zone, once nginx has made it.
#[derive(Clone)]
struct Content {
    /// Shared by all configurations that had the zone, one after the other.
    state: Rc<RefCell<State>>,
    /// This configuration's number. It lives as long as the configuration, in this process.
    generation: Rc<u64>,
    slots: Slots,
    /// This worker's.
    mine: Cell<Option<usize>>,
}

/// All slots, one table after the other.
type Slots = Vec<&'static [Slot]>;

/// The master's knowledge of a zone.
#[derive(Default)]
struct State {
    registry: Registry,
    /// Tables are added, and never removed.
    slots: Slots,
}

/// Adds a zone to the configuration that is being read.
pub fn add<T: HasZone>(line: &mut Conf<'_>, name: &[u8], size: usize) -> Result<Zone, LineError> {
    shm::add::<T>(line, name, size)?;
    let cycle = line.cycle().ok_or(LineError::Logged)?;
    let name = String::from_utf8_lossy(name).into_owned();
    Ok(Zone { name, size, position: line.position(), cycle, content: RefCell::default() })
}

impl Zone {
    fn content(&self) -> Option<Content> {
        self.content.borrow().clone()
    }

    /// Finds or makes the memory of each server. `before`: the zone of the configuration before, which had the same
    /// memory. `None`: something is wrong, and was logged.
    pub fn fill(
        &self,
        clusters: &[Rc<Cluster>],
        before: Option<&Zone>,
        memory: Option<Memory>,
        control: Option<&Position>,
        log: Log<'_>,
    ) -> Option<()> {
        let before = before.and_then(Zone::content);
        let (name, position) = (&self.name, &self.position);
        let servers = clusters.iter().map(|cluster| cluster.all_records()).fold(0, usize::saturating_add);
        let lists = clusters.iter().filter(|cluster| cluster.changes()).count();
        let Some(workers) = self.cycle.worker_processes() else {
            if let Some(position) = control {
                log.emerg(format_args!(
                    "\"memcache_control\" cannot be used with \"master_process off\" in {position}"
                ));
                return None;
            }
            log.warn(format_args!("zone \"{name}\" is not used with \"master_process off\" in {position}"));
            return Some(());
        };
        // Room for the new and the old workers of a reload, and for nginx's helpers, which take no slot.
        let switches = if control.is_some() { servers } else { 0 };
        let need = need(&[workers, workers.saturating_add(HELPERS)], servers, switches, lists);
        if self.size < need {
            log.emerg(format_args!("zone \"{name}\" is too small: {need} bytes are needed in {position}"));
            return None;
        }
        let memory = memory?;
        if !memory.check_layout(before.is_none()) {
            log.emerg(format_args!("zone \"{name}\" has the layout of another version of the module in {position}"));
            return None;
        }

        let running = before.as_ref().map_or(0, |before| *before.generation);
        let shared = before.as_ref().map(|before| before.state.clone()).unwrap_or_default();
        let mut state = shared.try_borrow_mut().ok()?;
        let State { registry, slots } = &mut *state;
        let generation = registry.begin(&memory, running);

        // Each existing process may have a slot or take one, and so may each new worker.
        let missing =
            workers.saturating_add(registry.processes()).saturating_sub(slots.iter().copied().flatten().count());
        slots.extend(Some(missing).filter(|&missing| missing > 0).and_then(|missing| memory.slots(missing)));
        let records = records(clusters, &memory, registry, slots, control.is_some());
        report(&self.name, &records, log);
        for (cluster, records) in clusters.iter().zip(records) {
            cluster.records.replace(records);
        }
        for (cluster, keys) in clusters.iter().zip(keys(clusters.iter().map(|cluster| &cluster.config))) {
            let Some(first) = keys.first().filter(|_| cluster.changes()) else { continue };
            let list = registry.piece(&memory, first.of(Piece::List(&cluster.lines())), 1);
            if list.is_none() {
                log.warn(format_args!(
                    "memcache: zone \"{}\" has no room for one more list of servers, each worker asks for itself",
                    self.name
                ));
            }
            cluster.published.set(list.and_then(<[_]>::first));
        }

        let slots = slots.clone();
        drop(state);
        self.content.replace(Some(Content { state: shared.clone(), generation, slots, mine: Cell::new(None) }));
        Some(())
    }

    /// The memory of a cluster's servers for the client of this worker. The worker takes a slot, if one is free.
    pub fn worker_memory(&self, cluster: &Cluster, clusters: &[Rc<Cluster>]) -> WorkerMemory {
        let process = pid();
        let Some(content) = &*self.content.borrow() else { return WorkerMemory::default() };
        if content.mine.get().is_none() {
            let slots = content.slots.iter().copied().flatten();
            content.mine.set(claim(slots, process, *content.generation, is_alive));
            // A worker that was killed may have had the slot, and this one may never have a client of each cluster.
            content.mine.get().inspect(|&mine| clear(clusters, mine));
        }
        let records = cluster.records.borrow();
        let servers = records.iter().map(|record| {
            let own = content.mine.get().and_then(|mine| record.of_slot(mine));
            ServerMemory {
                counters: own.map(memcache_engine::Memory::Shared).unwrap_or_default(),
                rest: record.rest.filter(|_| own.is_none()).map(memcache_engine::Memory::Shared),
                shared_health: record.shared_health.map(memcache_engine::Memory::Shared).unwrap_or_default(),
                shared_switch: record.switch.map(memcache_engine::Memory::Shared),
            }
        });
        WorkerMemory { process, servers: servers.collect() }
    }

    /// The worker exits: its slot is free, and its counts remain.
    pub fn leave(&self, clusters: &[Rc<Cluster>]) {
        let Some(content) = &*self.content.borrow() else { return };
        let Some(mine) = content.mine.take() else { return };
        clear(clusters, mine);
        if let Some(slot) = content.slots.iter().copied().flatten().nth(mine) {
            slot.release(pid());
        }
    }

    /// The workers that have a slot, and the configuration of this one; `None`: there is no zone.
    pub fn workers(&self) -> Option<(Vec<Worker>, u64)> {
        let content = self.content()?;
        let holder = |(slot, holder): (usize, &Slot)| {
            let (pid, generation) = holder.holder().filter(|&(pid, _)| is_alive(pid))?;
            Some(Worker { slot, pid: i32::try_from(pid).ok()?, generation })
        };
        Some((content.slots.iter().copied().flatten().enumerate().filter_map(holder).collect(), *content.generation))
    }
}

/// The owner of the slot has no connections.
fn clear(clusters: &[Rc<Cluster>], slot: usize) {
    for cluster in clusters {
        let records = cluster.records.borrow();
        records.iter().filter_map(|record| record.of_slot(slot)).for_each(|counters| counters.gauges.clear());
    }
}

/// nginx's processes that are not workers: the cache manager and the cache loader.
const HELPERS: usize = 2;

/// The memory of all servers of all clusters: first the shared health and counters, then the counters of each worker.
///
/// Without a `memcache_control` there are no switches: a server that was taken out is in use again, as nobody could bring it back.
fn records(
    clusters: &[Rc<Cluster>],
    memory: &Memory,
    registry: &mut Registry,
    slots: &Slots,
    has_control: bool,
) -> Vec<Vec<Record>> {
    let names = labels(clusters);
    let keys: Vec<_> = keys(clusters.iter().map(|cluster| &cluster.config))
        .into_iter()
        .zip(clusters)
        .map(|(keys, cluster)| with_later(keys, cluster))
        .collect();
    let mut records: Vec<Vec<Record>> = Vec::with_capacity(keys.len());
    for ((cluster, keys), (label, is_unique)) in clusters.iter().zip(&keys).zip(&names) {
        let record = |(number, key): (usize, &ServerKey)| {
            let addresses = cluster.hosts.get(number).map(Host::key).unwrap_or_default();
            let shared_health = registry.piece(memory, key.of(Piece::SharedHealth(&addresses)), 1);
            // No server has the name of one that comes later.
            let name = match cluster.config.servers.get(number) {
                Some(server) => server.name.clone(),
                None => format!("later {number}").into(),
            };
            let rest = registry.piece(memory, key.of(Piece::Rest), 1);
            let has_switch = has_control && *is_unique;
            let switch = has_switch.then(|| registry.piece(memory, ServerKey::of_switch(label, &name), 1)).flatten();
            Record {
                switch: switch.and_then(<[_]>::first),
                shared_health: shared_health.and_then(<[_]>::first),
                rest: rest.and_then(<[_]>::first),
                tables: Vec::new(),
            }
        };
        records.push(keys.iter().enumerate().map(record).collect());
    }
    for (number, table) in slots.iter().enumerate() {
        for (key, record) in keys.iter().flatten().zip(records.iter_mut().flatten()) {
            let counters = registry.piece(memory, key.of(Piece::Slots(number)), table.len());
            record.tables.push((table.len(), counters));
        }
    }
    records
}

/// The keys of a cluster's servers, and behind them those of the servers that come later.
fn with_later(mut keys: Vec<ServerKey>, cluster: &Cluster) -> Vec<ServerKey> {
    if let Some(&first) = keys.first().filter(|_| cluster.changes()) {
        let lines = cluster.lines();
        keys.extend((0..MAX_RECORDS).map(|number| first.of(Piece::Later(&lines, number))));
    }
    keys
}

/// Logs what there is no room for.
fn report(name: &str, records: &[Vec<Record>], log: Log<'_>) {
    let all = || records.iter().flatten();
    let without = all().filter(|record| record.shared_health.is_none() || record.rest.is_none()).count();
    if without > 0 {
        log.warn(format_args!(
            "memcache: zone \"{name}\" has no room for {without} more servers while those of earlier configurations are \
             in use, each worker knows and counts for itself",
        ));
    }
    // All servers have the same tables.
    let tables = all().next().map_or(0, |record| record.tables.len());
    let is_missing =
        |table: &usize| all().any(|record| record.tables.get(*table).is_none_or(|table| table.1.is_none()));
    let slots = |table: usize| all().next().and_then(|record| record.tables.get(table)).map_or(0, |table| table.0);
    let missing = (0..tables).filter(is_missing).map(slots).fold(0, usize::saturating_add);
    if missing > 0 && without == 0 {
        log.warn(format_args!(
            "memcache: zone \"{name}\" has no room for the numbers of {missing} more workers, they count together"
        ));
    }
}
