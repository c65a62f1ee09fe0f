//! `memcache_zone`: the memory that all workers share.
//!
//! nginx makes the zone and gives it from one configuration to the next. Only the master allocates in it, when it has
//! read a configuration; workers read and write atomic numbers and nothing else, so that one that crashes leaves nothing
//! locked or half done. What the memory is used for is known to the master and inherited by its workers: there are no
//! pointers in the zone itself.

#![allow(unsafe_code)]

use core::cell::{Cell, RefCell};
use core::ffi::c_void;
use core::ptr::{addr_of, NonNull};
use core::slice;
use std::rc::Rc;

use memcache_engine::zone::{claim, keys, Ledger, ServerKey, Slot, LAYOUT};
use memcache_engine::{Board, Company, Counters, Memory, ServerMemory};
use memcache_status::snapshot::Worker;
use nginx_sys::{
    ngx_core_conf_t, ngx_core_module, ngx_cycle_t, ngx_int_t, ngx_pagesize, ngx_pid, ngx_shared_memory_add,
    ngx_shm_zone_t, ngx_slab_calloc, ngx_slab_free, ngx_slab_page_t, ngx_slab_pool_t, ngx_slab_stat_t, ngx_str_t,
    NGX_ERROR, NGX_OK,
};

use crate::boundary::guard;
use crate::cluster::{Cluster, Clusters};
use crate::conf::{Directive, Place, Refusal};
use crate::log::Log;

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
    generation: u64,
    slots: &'static [Slot],
    /// This worker's.
    mine: Cell<Option<usize>>,
}

#[derive(Default)]
struct Registry {
    ledger: Ledger<Record>,
    /// The last one is used by new workers; the others have fewer slots, and may be in use by workers of before.
    tables: Vec<&'static [Slot]>,
}

/// A server's memory.
#[derive(Clone, Copy)]
pub struct Record {
    board: &'static Board,
    counters: &'static [Counters],
}

impl Record {
    /// What all workers know of the server.
    pub fn board(&self) -> &'static Board {
        self.board
    }

    /// What each slot's workers have counted.
    pub fn counters(&self) -> &'static [Counters] {
        self.counters
    }

    fn bytes(slots: usize) -> usize {
        size_of::<Board>().saturating_add(slots.saturating_mul(size_of::<Counters>()))
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
        let least = addr_of!(ngx_pagesize).read().saturating_mul(8);
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
        log: Log,
    ) -> Option<()> {
        // Room for the workers that come and those that go in a reload, and for some that crash.
        let slots = self.worker_processes().saturating_mul(2).saturating_add(2);
        let need = need(slots, clusters.servers());
        if self.size < need {
            let (name, place) = (&self.name, &self.place);
            log.emerg(format_args!("zone \"{name}\" is too small: {need} bytes are needed in {place}"));
            return None;
        }
        // SAFETY: by the contract. What is in the pool is for who has put it there to say; a pool that is out of memory
        // says so here, not by itself.
        let layout = unsafe {
            (*pool).set_log_nomem(0);
            if before.is_none() {
                (*pool).data = core::ptr::without_provenance_mut(LAYOUT as usize);
            }
            (*pool).data.addr() as u64
        };
        if layout != LAYOUT {
            let (name, place) = (&self.name, &self.place);
            log.emerg(format_args!("zone \"{name}\" has the layout of another version of the module in {place}"));
            return None;
        }

        let running = before.as_ref().map_or(0, |before| before.generation);
        let registry = before.map(|before| before.registry).unwrap_or_default();
        let mut books = registry.try_borrow_mut().ok()?;
        let generation = books.ledger.begin();
        let live = books.tables.iter().flat_map(|table| table.iter()).filter_map(Slot::holder);
        let live: Vec<u64> = live.filter(|&(pid, _)| is_alive(pid)).map(|(_, generation)| generation).collect();
        for record in books.ledger.expire(running, &live) {
            // SAFETY: it was allocated from this pool, and nobody uses it any more.
            unsafe { ngx_slab_free(pool, core::ptr::from_ref(record.board).cast_mut().cast()) };
        }

        let table = match books.tables.last() {
            Some(table) if table.len() >= slots => *table,
            _ => {
                // SAFETY: by the contract; zeros are slots that nobody has.
                let table = unsafe { allocate::<Slot>(pool, slots.saturating_mul(size_of::<Slot>())) };
                // SAFETY: there is room for so many.
                let table = table.map(|table| unsafe { slice::from_raw_parts(table.as_ptr(), slots) });
                table.inspect(|table| books.tables.push(table)).or_else(|| books.tables.last().copied())?
            }
        };

        let mut without = 0u32;
        for (cluster, keys) in clusters.iter().zip(keys(clusters.iter().map(|cluster| &cluster.config))) {
            // SAFETY: by the contract.
            let records = keys.into_iter().map(|key| unsafe { self.record(&mut books.ledger, key, table.len(), pool) });
            let records: Vec<_> = records.collect();
            without =
                without.saturating_add(u32::try_from(records.iter().filter(|r| r.is_none()).count()).unwrap_or(0));
            cluster.records.replace(records);
        }
        if without > 0 {
            log.warn(format_args!(
                "memcache: zone \"{}\" has no room for {without} more servers while those of earlier configurations \
                 are in use, each worker counts for itself",
                self.name,
            ));
        }
        drop(books);
        self.content.replace(Some(Content { registry, generation, slots: table, mine: Cell::new(None) }));
        Some(())
    }

    /// # Safety
    ///
    /// As for [`fill`](Zone::fill).
    unsafe fn record(
        &self,
        ledger: &mut Ledger<Record>,
        key: ServerKey,
        slots: usize,
        pool: *mut ngx_slab_pool_t,
    ) -> Option<Record> {
        if let Some(record) = ledger.find(key, slots) {
            return Some(record);
        }
        // SAFETY: by the contract. Zeros are a board and counters; the counters are behind the board, both aligned, as
        // the board's size is a multiple of its alignment, which is theirs too.
        let record = unsafe {
            const { assert!(align_of::<Board>() == align_of::<Counters>()) };
            let board = allocate::<Board>(pool, Record::bytes(slots))?;
            let counters = slice::from_raw_parts(board.as_ptr().add(1).cast::<Counters>(), slots);
            Record { board: board.as_ref(), counters }
        };
        if let (Some(before), Some(first)) = (ledger.smaller(key), record.counters.first()) {
            before.counters.iter().for_each(|counters| first.resume(counters));
        }
        ledger.add(key, slots, record);
        Some(record)
    }

    /// How many workers there will be.
    fn worker_processes(&self) -> usize {
        // SAFETY: the cycle that the directive belongs to is there, and so is its core configuration, complete.
        let core = unsafe {
            let conf_ctx = self.cycle.as_ref().conf_ctx;
            (*conf_ctx.add(addr_of!(ngx_core_module.index).read())).cast::<ngx_core_conf_t>().as_ref()
        };
        core.map_or(1, |core| if core.master == 0 { 1 } else { usize::try_from(core.worker_processes).unwrap_or(1) })
    }

    /// The memory of a cluster's servers for the client of this worker, which has a slot from now on, if one is free.
    pub fn company(&self, cluster: &Cluster, log: Log) -> Company {
        let who = pid();
        let Some(content) = &*self.content.borrow() else { return Company::default() };
        if content.mine.get().is_none() {
            content.mine.set(claim(content.slots, who, content.generation, is_alive));
            if content.mine.get().is_none() {
                log.warn(format_args!(
                    "memcache: zone \"{}\" has no slot for this worker while those of earlier configurations run, it \
                     counts for itself",
                    self.name,
                ));
            }
        }
        let own = |record: &Record| Some(Memory::Shared(record.counters.get(content.mine.get()?)?));
        let records = cluster.records.borrow();
        let servers = records.iter().map(|record| match record {
            Some(record) => {
                let counters = own(record).unwrap_or_default();
                counters.gauges.clear();
                ServerMemory { counters, board: Memory::Shared(record.board) }
            }
            None => ServerMemory::default(),
        });
        Company { who, servers: servers.collect() }
    }

    /// The worker exits: its slot is free, and what it has counted stays.
    pub fn leave(&self, clusters: &Clusters) {
        let Some(content) = &*self.content.borrow() else { return };
        let Some(mine) = content.mine.take() else { return };
        for cluster in clusters.iter() {
            let records = cluster.records.borrow();
            let counters = records.iter().flatten().filter_map(|record| record.counters.get(mine));
            counters.for_each(|counters| counters.gauges.clear());
        }
        if let Some(slot) = content.slots.get(mine) {
            slot.release(pid());
        }
    }

    /// The workers that have a slot, and which one this is; `None`: this worker has none.
    pub fn workers(&self) -> Option<(Vec<Worker>, Worker)> {
        let content = self.content()?;
        let holder = |(slot, holder): (usize, &Slot)| {
            let (pid, generation) = holder.holder().filter(|&(pid, _)| is_alive(pid))?;
            Some(Worker { slot, pid: i32::try_from(pid).ok()?, generation })
        };
        let workers: Vec<_> = content.slots.iter().enumerate().filter_map(holder).collect();
        let mine = content.mine.get()?;
        let this = workers.iter().find(|worker| worker.slot == mine)?.clone();
        Some((workers, this))
    }
}

/// The size that a zone has to have, in bytes: what nginx keeps of it, and whole pages for each server and for the slots.
fn need(slots: usize, servers: usize) -> usize {
    // SAFETY: nginx sets it when it starts.
    let page = unsafe { addr_of!(ngx_pagesize).read() };
    let pages = |bytes: usize| bytes.div_ceil(page.max(1));
    let table = pages(slots.saturating_mul(size_of::<Slot>()));
    let pages = pages(Record::bytes(slots)).saturating_mul(servers).saturating_add(table);
    // One list and one set of numbers for each power of two up to a page.
    let lists = size_of::<ngx_slab_page_t>().saturating_add(size_of::<ngx_slab_stat_t>()).saturating_mul(16);
    let per_page = page.saturating_add(size_of::<ngx_slab_page_t>());
    let head = size_of::<ngx_slab_pool_t>().saturating_add(lists).saturating_add(page);
    // nginx rounds down in between.
    pages.saturating_mul(per_page).saturating_add(head).next_multiple_of(page.max(1))
}

/// Zeroed memory of a zone; `None`: there is none.
///
/// # Safety
///
/// The pool is there. Memory of `T`s is at least as large as one.
unsafe fn allocate<T>(pool: *mut ngx_slab_pool_t, bytes: usize) -> Option<NonNull<T>> {
    // SAFETY: by the contract. nginx's lock is held by nobody but a master, which is this process.
    let memory = unsafe { ngx_slab_calloc(pool, bytes) };
    NonNull::new(memory.cast::<T>()).filter(|memory| memory.is_aligned())
}

fn pid() -> u32 {
    // SAFETY: nginx sets it when the process starts.
    u32::try_from(unsafe { addr_of!(ngx_pid).read() }).unwrap_or(0)
}

/// Whether there is such a process, or was a moment ago.
fn is_alive(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    // SAFETY: nothing is sent. A process that may not be sent anything is there.
    unsafe {
        nginx_sys::kill(pid, 0) == 0 || std::io::Error::last_os_error().kind() == std::io::ErrorKind::PermissionDenied
    }
}
