//! The memory in a zone: pieces of it, and how much of it there has to be.

#![allow(unsafe_code)]

use core::ffi::c_void;
use core::ptr::{addr_of, NonNull};
use core::slice;

use memcache_engine::zone::{Ledger, ServerKey, Slot, LAYOUT};
use memcache_engine::{Board, Counters};
use nginx_sys::{ngx_pagesize, ngx_slab_calloc, ngx_slab_free, ngx_slab_page_t, ngx_slab_pool_t, ngx_slab_stat_t};

/// What may lie in a zone.
///
/// # Safety
///
/// Zeros are a value of the type, which is used through shared references by several processes.
pub unsafe trait Shared {}

// SAFETY: all three are atomic numbers and nothing else, and say that zeros are their beginning.
unsafe impl Shared for Slot {}
// SAFETY: as above.
unsafe impl Shared for Board {}
// SAFETY: as above.
unsafe impl Shared for Counters {}

/// Where the pieces begin.
pub type Pieces = Ledger<NonNull<c_void>>;

/// The memory of a zone, as its master sees it.
pub struct Memory {
    pool: NonNull<ngx_slab_pool_t>,
}

impl Memory {
    /// # Safety
    ///
    /// `pool` is a slab pool that nginx has made, in memory that stays mapped for as long as a process uses what is in it;
    /// nobody but this process allocates in it.
    pub unsafe fn new(pool: *mut ngx_slab_pool_t) -> Option<Memory> {
        let pool = NonNull::new(pool)?;
        // SAFETY: by the contract. A pool that is out of memory says so here, not by itself.
        unsafe { (*pool.as_ptr()).set_log_nomem(0) };
        Some(Memory { pool })
    }

    /// Whether what is in it is laid out as this version of the module does it. `is_new`: nothing is.
    pub fn check_layout(&self, is_new: bool) -> bool {
        // SAFETY: by the contract of `new`; what this points to is for who has made the content to say.
        unsafe {
            let pool = self.pool.as_ptr();
            if is_new {
                (*pool).data = core::ptr::without_provenance_mut(LAYOUT as usize);
            }
            (*pool).data.addr() as u64 == LAYOUT
        }
    }

    /// The piece with this key, which always has the same type and length: the one that there is, or a new one of zeros.
    /// `None`: there is no room.
    pub fn piece<T: Shared>(&self, pieces: &mut Pieces, key: ServerKey, count: usize) -> Option<&'static [T]> {
        let memory = match pieces.find(key) {
            Some(memory) => memory.cast(),
            None => {
                let memory = self.allocate::<T>(count)?;
                pieces.add(key, memory.cast());
                memory
            }
        };
        // SAFETY: so many are there. For as long as anybody may use them, they are not given away: see `Ledger`.
        Some(unsafe { slice::from_raw_parts(memory.as_ptr(), count) })
    }

    /// Slots that nobody has, for as long as the zone is there.
    pub fn slots(&self, count: usize) -> Option<&'static [Slot]> {
        // SAFETY: as in `piece`.
        self.allocate::<Slot>(count).map(|slots| unsafe { slice::from_raw_parts(slots.as_ptr(), count) })
    }

    /// Gives pieces away that nobody uses.
    ///
    /// # Safety
    ///
    /// Nobody uses them, now or later, in this process or in another.
    pub unsafe fn free(&self, pieces: Vec<NonNull<c_void>>) {
        // SAFETY: by the contract; they were allocated in this pool.
        pieces.into_iter().for_each(|piece| unsafe { ngx_slab_free(self.pool.as_ptr(), piece.as_ptr()) });
    }

    fn allocate<T: Shared>(&self, count: usize) -> Option<NonNull<T>> {
        let bytes = count.checked_mul(size_of::<T>())?;
        // SAFETY: by the contract of `new`. nginx's lock is held by nobody but a master, which is this process.
        let memory = unsafe { ngx_slab_calloc(self.pool.as_ptr(), bytes) };
        NonNull::new(memory.cast::<T>()).filter(|memory| memory.is_aligned())
    }
}

/// The size that a zone has to have, in bytes, for these tables of slots: what nginx keeps of it, and whole pages for each
/// piece.
pub fn need(tables: &[usize], servers: usize) -> usize {
    let page = page_size();
    let pages = |bytes: usize| bytes.div_ceil(page.max(1));
    let counters = |slots: usize| pages(slots.saturating_mul(size_of::<Counters>()));
    let slots = |slots: usize| pages(slots.saturating_mul(size_of::<Slot>()));
    let boards = pages(servers.saturating_mul(size_of::<Board>()));
    let each = tables.iter().map(|&table| counters(table)).fold(counters(1), usize::saturating_add);
    let tables = tables.iter().map(|&table| slots(table)).fold(0, usize::saturating_add);
    let pages = each.saturating_mul(servers).saturating_add(boards).saturating_add(tables);
    // One list and one set of numbers for each power of two up to a page.
    let lists = size_of::<ngx_slab_page_t>().saturating_add(size_of::<ngx_slab_stat_t>()).saturating_mul(16);
    let per_page = page.saturating_add(size_of::<ngx_slab_page_t>());
    let head = size_of::<ngx_slab_pool_t>().saturating_add(lists).saturating_add(page);
    // nginx rounds down in between.
    pages.saturating_mul(per_page).saturating_add(head).next_multiple_of(page.max(1))
}

pub fn page_size() -> usize {
    // SAFETY: nginx sets it when it starts.
    unsafe { addr_of!(ngx_pagesize).read() }
}
