//! Shared memory: a zone of the configuration, and the pieces in it.
//!
//! Memory is freed when no process may use it any more: see [`Ledger`]. The master uses its list of processes, and not what
//! they have written into the zone. So a worker that has no slot yet, or never gets one, counts as well.

#![allow(unsafe_code)]

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicU64, Ordering};
use std::rc::{Rc, Weak};

use memcache_engine::shared::{Ledger, Processes, Published, ServerKey, Slot};
use memcache_engine::ServerMemory;
use memcache_engine::{Counters, SharedHealth, SharedSwitch};
use nginx_sys::{
    ngx_int_t, ngx_shared_memory_add, ngx_shm_zone_t, ngx_slab_calloc, ngx_slab_free, ngx_slab_page_t, ngx_slab_pool_t,
    ngx_slab_stat_t, ngx_str_t, NGX_ERROR, NGX_OK,
};

use super::conf::{Conf, LineError};
use super::global::global;
use super::guard::guard;
use super::log::Log;
use super::module::{self, MainConf};
use super::process::children;

/// The configuration of an http block that has a zone.
pub trait HasZone: MainConf {
    /// Runs in the master, also under `nginx -t`, when a configuration was read and the zone was made. The zone is that of
    /// the configuration `before`, if it has the same size. `None`: something is wrong, and was logged.
    fn init(&self, before: Option<&Self>, memory: Option<Memory>, log: Log<'_>) -> Option<()>;
}

/// Adds a zone to the configuration that is being read.
pub fn add<T: HasZone>(line: &Conf<'_>, name: &[u8], size: usize) -> Result<(), LineError> {
    let mut name = ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() };
    // `init` refuses what is too small; nginx needs a few pages to come so far.
    let size = size.max(page_size().saturating_mul(8));
    let data = line.main_ptr::<T>().ok_or(LineError::Logged)?;
    // SAFETY: nginx keeps a copy of the name, whose bytes are in the configuration's pool, and gives the zone back as long
    // as the configuration is there, which the data is a part of.
    unsafe {
        let zone = ngx_shared_memory_add(line.as_ptr(), &raw mut name, size, module::as_ptr().cast());
        // The zone is used for something else; nginx has said so.
        let zone = zone.as_mut().ok_or(LineError::Logged)?;
        if !zone.data.is_null() {
            return Err(LineError::DUPLICATE);
        }
        zone.init = Some(init::<T>);
        zone.data = data.as_ptr().cast();
    }
    Ok(())
}

unsafe extern "C" fn init<T: HasZone>(shm: *mut ngx_shm_zone_t, before: *mut c_void) -> ngx_int_t {
    let done = guard(None, || {
        // SAFETY: nginx calls this with a zone that was added by `add`; its data is the main configuration, which was
        // read, and `before` that of the configuration before, which is still there. nginx has put a pool into the zone,
        // which stays mapped as long as a process may use what is in it; this is the master, which alone allocates in it.
        unsafe {
            let conf = (*shm).data.cast::<T>().as_ref()?;
            let memory = Memory::new((*shm).shm.addr.cast());
            conf.init(before.cast::<T>().as_ref(), memory, Log::new((*shm).shm.log)?)
        }
    });
    done.map_or(NGX_ERROR, |()| NGX_OK as i32) as ngx_int_t
}

/// A type that may be in a zone.
///
/// # Safety
///
/// Zeros are a value of the type, which is used through shared references by several processes. It consists of `AtomicU64`s.
pub unsafe trait Shared {}

// SAFETY: all are atomic numbers and nothing else, and say that zeros are their beginning.
unsafe impl Shared for Slot {}
// SAFETY: as above.
unsafe impl Shared for SharedHealth {}
// SAFETY: as above.
unsafe impl Shared for Counters {}
// SAFETY: as above.
unsafe impl Shared for SharedSwitch {}
// SAFETY: as above.
unsafe impl Shared for Published {}

/// Begins a piece anew. Others may use it meanwhile.
pub fn clear<T: Shared>(piece: &'static T) {
    let words = const { size_of::<T>() / size_of::<AtomicU64>() };
    // SAFETY: it lies in a zone, whose bytes all have values, and consists of such numbers.
    let words = unsafe { slice::from_raw_parts(ptr::from_ref(piece).cast::<AtomicU64>(), words) };
    words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
}

/// The pieces of memory, and the processes that may use them. All configurations with this zone share it.
#[derive(Default)]
pub struct Registry {
    pieces: Ledger<NonNull<c_void>>,
    /// The configurations that may be there in this process.
    here: Vec<Weak<u64>>,
    processes: Processes,
}

impl Registry {
    /// Begins a new configuration, while the one with the number `running` works, and frees what none uses any more.
    /// Returns the number of the new one, which lives as long as the configuration, in this process.
    pub fn begin(&mut self, memory: &Memory, running: u64) -> Rc<u64> {
        self.processes.update(children(), running);
        let generation = Rc::new(self.pieces.begin());
        self.here.retain(|generation| generation.strong_count() > 0);
        self.here.push(Rc::downgrade(&generation));
        let here = self.here.iter().filter_map(Weak::upgrade).map(|generation| *generation);
        let in_use: Vec<u64> = self.processes.generations().chain(here).collect();
        for piece in self.pieces.expire(&in_use) {
            // SAFETY: it was allocated in this pool, and nobody may use it, now or later, in this process or in another:
            // those that may are in the list, and that is the rule of the ledger.
            unsafe { ngx_slab_free(memory.pool.as_ptr(), piece.as_ptr()) };
        }
        generation
    }

    /// How many processes there are that may use the zone.
    pub fn processes(&self) -> usize {
        self.processes.count()
    }

    /// The piece with this key, which always has the same type and length. A new piece has zeros. `None`: there is no room.
    pub fn piece<T: Shared>(&mut self, memory: &Memory, key: ServerKey, count: usize) -> Option<&'static [T]> {
        let piece = match self.pieces.find(key) {
            Some(piece) => piece.cast(),
            None => {
                let piece = memory.allocate::<T>(count)?;
                self.pieces.add(key, piece.cast());
                piece
            }
        };
        // SAFETY: so many are there. For as long as anybody may use them, they are not given away: see `begin`.
        Some(unsafe { slice::from_raw_parts(piece.as_ptr(), count) })
    }
}

/// The memory of a zone, as its master sees it.
pub struct Memory {
    pool: NonNull<ngx_slab_pool_t>,
}

impl Memory {
    /// # Safety
    ///
    /// `pool` is a slab pool that nginx has made, in memory that stays mapped for as long as a process uses what is in it;
    /// nobody but this process allocates in it.
    unsafe fn new(pool: *mut ngx_slab_pool_t) -> Option<Memory> {
        let pool = NonNull::new(pool)?;
        // SAFETY: by the contract. A pool that is out of memory says so here, not by itself.
        unsafe { (*pool.as_ptr()).set_log_nomem(0) };
        Some(Memory { pool })
    }

    /// Whether its content has the layout of this version of the module. `is_new`: it is empty.
    pub fn check_layout(&self, is_new: bool) -> bool {
        // SAFETY: by the contract of `new`; what this points to is for who has made the content to say.
        unsafe {
            let pool = self.pool.as_ptr();
            if is_new {
                (*pool).data = core::ptr::without_provenance_mut(ServerMemory::LAYOUT as usize);
            }
            (*pool).data.addr() as u64 == ServerMemory::LAYOUT
        }
    }

    /// New slots, which live as long as the zone.
    pub fn slots(&self, count: usize) -> Option<&'static [Slot]> {
        // SAFETY: so many are there, and they are never given away.
        self.allocate::<Slot>(count).map(|slots| unsafe { slice::from_raw_parts(slots.as_ptr(), count) })
    }

    fn allocate<T: Shared>(&self, count: usize) -> Option<NonNull<T>> {
        let bytes = count.checked_mul(size_of::<T>())?;
        // SAFETY: by the contract of `new`. nginx's lock is held by nobody but a master, which is this process.
        let memory = unsafe { ngx_slab_calloc(self.pool.as_ptr(), bytes) };
        NonNull::new(memory.cast::<T>()).filter(|memory| memory.is_aligned())
    }
}

/// The size in bytes that a zone needs for these tables of slots, servers, their switches, and lists that change: nginx's own part, and
/// whole pages for each piece.
pub fn need(tables: &[usize], servers: usize, switches: usize, lists: usize) -> usize {
    let page = page_size();
    let pages = |bytes: usize| bytes.div_ceil(page.max(1));
    let counters = |slots: usize| pages(slots.saturating_mul(size_of::<Counters>()));
    let slots = |slots: usize| pages(slots.saturating_mul(size_of::<Slot>()));
    let shared_healths = pages(servers.saturating_mul(size_of::<SharedHealth>()));
    let switches = pages(switches.saturating_mul(size_of::<SharedSwitch>()));
    let each = tables.iter().map(|&table| counters(table)).fold(counters(1), usize::saturating_add);
    let tables = tables.iter().map(|&table| slots(table)).fold(0, usize::saturating_add);
    let lists = pages(size_of::<Published>()).saturating_mul(lists);
    let each = each.saturating_mul(servers).saturating_add(lists);
    let pages = each.saturating_add(shared_healths).saturating_add(switches).saturating_add(tables);
    // One list and one set of numbers for each power of two up to a page.
    let lists = size_of::<ngx_slab_page_t>().saturating_add(size_of::<ngx_slab_stat_t>()).saturating_mul(16);
    let per_page = page.saturating_add(size_of::<ngx_slab_page_t>());
    let head = size_of::<ngx_slab_pool_t>().saturating_add(lists).saturating_add(page);
    // nginx rounds down in between.
    pages.saturating_mul(per_page).saturating_add(head).next_multiple_of(page.max(1))
}

fn page_size() -> usize {
    global!(ngx_pagesize)
}
