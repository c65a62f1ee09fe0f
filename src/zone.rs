//! `memcache_zone`: the memory that all workers share.
//!
//! nginx makes the zone and gives it from one configuration to the next. Only the master allocates in it, when it has
//! read a configuration; workers read and write atomic numbers and nothing else, so that one that crashes leaves nothing
//! locked or half done. What the memory is used for is known to the master and inherited by its workers: there are no
//! pointers in the zone itself.
//!
//! Memory is given away only when nobody may use it any more: see [`Ledger`](memcache_engine::zone::Ledger). Who that is
//! the master knows by its list of processes, not by what they have written into the zone: a worker that has no slot yet,
//! or never gets one, counts as well. After a crash the master looks at the process before it reads a configuration. The
//! new nginx of an upgrade has a zone of its own. Without a master there is none at all: a configuration that is being
//! replaced goes on in the process that unmaps its zone.

#![allow(unsafe_code)]

use core::cell::{Cell, RefCell};
use core::ffi::c_void;
use core::ptr::{addr_of, NonNull};
use std::rc::{Rc, Weak};

use memcache_engine::zone::{claim, keys, Piece, Processes, ServerKey, Slot};
use memcache_engine::{Board, Company, Counters, ServerMemory};
use memcache_status::snapshot::Worker;
use nginx_sys::{
    ngx_core_conf_t, ngx_core_module, ngx_cycle_t, ngx_int_t, ngx_shared_memory_add, ngx_shm_zone_t, ngx_slab_pool_t,
    ngx_str_t, NGX_ERROR, NGX_OK,
};

use crate::cluster::{Cluster, Clusters};
use crate::conf::{Directive, Place, Refusal};
use crate::nginx::guard::guard;
use crate::nginx::log::Log;
use crate::nginx::process::{children, is_alive, pid};
use crate::nginx::shm::{need, page_size, Memory, Pieces};

/// A zone as configured, and what this configuration has in it.
pub struct Zone {
    name: String,
    size: usize,
    place: Place,
    /// The cycle that the directive belongs to.
    cycle: NonNull<ngx_cycle_t>,
    content: RefCell<Option<Content>>,
}

/// What is in a zone, once nginx has made it.
#[derive(Clone)]
struct Content {
    /// All configurations' that had the zone one after the other.
    registry: Rc<RefCell<Registry>>,
    /// This configuration's number, which is there as long as the configuration is, in this process.
    generation: Rc<u64>,
    slots: Slots,
    /// This worker's.
    mine: Cell<Option<usize>>,
}

/// All slots, one table after the other.
type Slots = Vec<&'static [Slot]>;

#[derive(Default)]
struct Registry {
    pieces: Pieces,
    /// The configurations that may be there in this process.
    here: Vec<Weak<u64>>,
    processes: Processes,
    /// Tables come, and never go.
    slots: Slots,
}

/// A server's memory; where there was no room for it, none.
#[derive(Clone, Default)]
pub struct Record {
    board: Option<&'static Board>,
    /// For each table of slots, how many it has, and their counters.
    tables: Vec<(usize, Option<&'static [Counters]>)>,
    rest: Option<&'static Counters>,
}

impl Record {
    /// What all workers know of the server.
    pub fn board(&self) -> Option<&'static Board> {
        self.board
    }

    /// What the workers of a slot have counted.
    pub fn of_slot(&self, slot: usize) -> Option<&'static Counters> {
        let mut first = 0usize;
        self.tables.iter().find_map(|&(slots, counters)| {
            let at = slot.checked_sub(first)?;
            first = first.saturating_add(slots);
            counters?.get(at).filter(|_| at < slots)
        })
    }

    /// What all workers have counted; `None`: nobody knows.
    pub fn counters(&self) -> Option<impl Iterator<Item = &'static Counters> + Clone + '_> {
        Some(self.tables.iter().filter_map(|(_, counters)| *counters).flatten().chain([self.rest?]))
    }
}

/// Adds a zone to the configuration that is being read.
///
/// # Safety
///
/// `line` is a directive of it; `clusters` is its main configuration, in its pool, which the zone will be a part of.
pub unsafe fn add(
    line: &Directive<'_>,
    mut name: ngx_str_t,
    size: usize,
    clusters: *const Clusters,
) -> Result<Zone, Refusal> {
    let tag = core::ptr::addr_of!(crate::module::ngx_http_memcache_module).cast_mut().cast();
    // SAFETY: by the contract; nginx keeps a copy of the name, whose bytes are in the configuration's pool.
    unsafe {
        // `init` refuses what is too small; nginx needs a few pages to come so far.
        let least = page_size().saturating_mul(8);
        let zone = ngx_shared_memory_add(line.as_ptr(), &raw mut name, size.max(least), tag);
        // The zone is used for something else; nginx has said so.
        let zone = zone.as_mut().ok_or(Refusal::NoMemory)?;
        if !zone.data.is_null() {
            return Err(Refusal::DUPLICATE);
        }
        zone.init = Some(init);
        zone.data = clusters.cast_mut().cast();
        let cycle = NonNull::new((*line.as_ptr()).cycle).ok_or(Refusal::NoMemory)?;
        Ok(Zone { name: name.to_string(), size, place: line.place(), cycle, content: RefCell::default() })
    }
}

/// Runs in the master, also under `nginx -t`, when a configuration was read and the zone is there: that of the
/// configuration before, if it has the same size.
unsafe extern "C" fn init(shm: *mut ngx_shm_zone_t, before: *mut c_void) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx calls this with a zone that was added by `add`; its data is the main configuration, and
        // `before` that of the configuration before, which is still there.
        let (clusters, before, log, pool) = unsafe {
            let Some(clusters) = (*shm).data.cast::<Clusters>().as_ref() else { return NGX_ERROR as ngx_int_t };
            let pool = (*shm).shm.addr.cast::<ngx_slab_pool_t>();
            (clusters, before.cast::<Clusters>().as_ref(), Log::new((*shm).shm.log), pool)
        };
        let (Some(zone), Some(log)) = (&clusters.zone, log) else { return NGX_ERROR as ngx_int_t };
        let before = before.and_then(|before| before.zone.as_ref()).and_then(Zone::content);
        // SAFETY: the zone was made by nginx, which has put a pool into it.
        match unsafe { zone.fill(clusters, before, pool, log) } {
            Some(()) => NGX_OK as ngx_int_t,
            None => NGX_ERROR as ngx_int_t,
        }
    })
}

impl Zone {
    fn content(&self) -> Option<Content> {
        self.content.borrow().clone()
    }

    /// Finds or makes the memory of each server.
    ///
    /// # Safety
    ///
    /// `pool` is a slab pool in memory that stays mapped for as long as a process uses what this returns.
    unsafe fn fill(
        &self,
        clusters: &Clusters,
        before: Option<Content>,
        pool: *mut ngx_slab_pool_t,
        log: Log<'_>,
    ) -> Option<()> {
        let (name, place) = (&self.name, &self.place);
        let Some(workers) = self.worker_processes() else { return Some(()) };
        // Room for the workers that come and those that go in a reload, and for nginx's helpers, which take no slot.
        let need = need(&[workers, workers.saturating_add(HELPERS)], clusters.servers());
        if self.size < need {
            log.emerg(format_args!("zone \"{name}\" is too small: {need} bytes are needed in {place}"));
            return None;
        }
        // SAFETY: by the contract; this is the master.
        let memory = unsafe { Memory::new(pool) }?;
        if !memory.check_layout(before.is_none()) {
            log.emerg(format_args!("zone \"{name}\" has the layout of another version of the module in {place}"));
            return None;
        }

        let running = before.as_ref().map_or(0, |before| *before.generation);
        let registry = before.as_ref().map(|before| before.registry.clone()).unwrap_or_default();
        let mut books = registry.try_borrow_mut().ok()?;
        let Registry { pieces, here, processes, slots } = &mut *books;
        processes.update(children(), running);
        let generation = Rc::new(pieces.begin());
        here.retain(|generation| generation.strong_count() > 0);
        here.push(Rc::downgrade(&generation));
        let here = here.iter().filter_map(Weak::upgrade).map(|generation| *generation);
        let in_use: Vec<u64> = processes.generations().chain(here).collect();
        // SAFETY: nobody may use them, by the rule of the ledger.
        unsafe { memory.free(pieces.expire(&in_use)) };

        // Each process that there is may have a slot or take one, and so will each of the new workers.
        let missing = workers.saturating_add(processes.count()).saturating_sub(slots.iter().copied().flatten().count());
        slots.extend(Some(missing).filter(|&missing| missing > 0).and_then(|missing| memory.slots(missing)));
        let records = records(clusters, &memory, pieces, slots);
        report(&self.name, &records, log);
        for (cluster, records) in clusters.iter().zip(records) {
            cluster.records.replace(records);
        }

        let slots = slots.clone();
        drop(books);
        self.content.replace(Some(Content { registry, generation, slots, mine: Cell::new(None) }));
        Some(())
    }

    /// How many workers there will be; `None` without a master.
    fn worker_processes(&self) -> Option<usize> {
        // SAFETY: the cycle that the directive belongs to is there, and so is its core configuration, complete.
        let core = unsafe {
            let conf_ctx = self.cycle.as_ref().conf_ctx;
            (*conf_ctx.add(addr_of!(ngx_core_module.index).read())).cast::<ngx_core_conf_t>().as_ref()
        };
        let core = core.filter(|core| core.master != 0)?;
        Some(usize::try_from(core.worker_processes).unwrap_or(1))
    }

    /// The memory of a cluster's servers for the client of this worker, which has a slot from now on, if one is free.
    pub fn company(&self, cluster: &Cluster) -> Company {
        let who = pid();
        let Some(content) = &*self.content.borrow() else { return Company::default() };
        if content.mine.get().is_none() {
            let slots = content.slots.iter().copied().flatten();
            content.mine.set(claim(slots, who, *content.generation, is_alive));
        }
        let records = cluster.records.borrow();
        let servers = records.iter().map(|record| {
            let own = content.mine.get().and_then(|mine| record.of_slot(mine));
            own.inspect(|own| own.gauges.clear());
            ServerMemory {
                counters: own.map(memcache_engine::Memory::Shared).unwrap_or_default(),
                rest: record.rest.filter(|_| own.is_none()).map(memcache_engine::Memory::Shared),
                board: record.board.map(memcache_engine::Memory::Shared).unwrap_or_default(),
            }
        });
        Company { who, servers: servers.collect() }
    }

    /// The worker exits: its slot is free, and what it has counted stays.
    pub fn leave(&self, clusters: &Clusters) {
        let Some(content) = &*self.content.borrow() else { return };
        let Some(mine) = content.mine.take() else { return };
        for cluster in clusters.iter() {
            let records = cluster.records.borrow();
            records.iter().filter_map(|record| record.of_slot(mine)).for_each(|counters| counters.gauges.clear());
        }
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

/// nginx's processes that are no workers: the manager and the loader of its caches.
const HELPERS: usize = 2;

/// The memory of all servers of all clusters: first what is needed to know the same, and to lose nothing, then what tells
/// workers apart.
fn records(clusters: &Clusters, memory: &Memory, pieces: &mut Pieces, slots: &Slots) -> Vec<Vec<Record>> {
    let keys = keys(clusters.iter().map(|cluster| &cluster.config));
    let mut records: Vec<Vec<Record>> = Vec::with_capacity(keys.len());
    for (cluster, keys) in clusters.iter().zip(&keys) {
        let record = |(key, addresses): (&ServerKey, &crate::conf::Addresses)| {
            let board = memory.piece(pieces, key.of(Piece::Board(&addresses.key())), 1);
            let rest = memory.piece(pieces, key.of(Piece::Rest), 1);
            Record { board: board.and_then(<[_]>::first), rest: rest.and_then(<[_]>::first), tables: Vec::new() }
        };
        records.push(keys.iter().zip(&cluster.addresses).map(record).collect());
    }
    for (number, table) in slots.iter().enumerate() {
        for (key, record) in keys.iter().flatten().zip(records.iter_mut().flatten()) {
            let counters = memory.piece(pieces, key.of(Piece::Slots(number)), table.len());
            record.tables.push((table.len(), counters));
        }
    }
    records
}

/// Says what there is no room for.
fn report(name: &str, records: &[Vec<Record>], log: Log<'_>) {
    let all = || records.iter().flatten();
    let without = all().filter(|record| record.board.is_none() || record.rest.is_none()).count();
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
