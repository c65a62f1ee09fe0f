//! A global allocator for nginx modules that keeps memory back for when the system has none.
//!
//! nginx answers a request that it has no memory for with an error, and goes on. Most of Rust cannot: where a `Vec` or
//! a `Box` gets no memory, the process is aborted, and with it every connection of the worker. So a module has
//!
//! ```
//! #[global_allocator]
//! static MEMORY: memcache_reserve::Reserve = memcache_reserve::Reserve::new();
//! ```
//!
//! What the system refuses comes from a reserve of [`SIZE`] bytes then, and [`is_low`](Reserve::is_low) says so, which
//! is the moment to refuse new work until old work has given memory back. The reserve costs address space only, until
//! it is used.
//!
//! It does not make memory: what asks for more than [`LARGEST`] bytes at once gets none when the system has none, so
//! whatever a peer, a client or a configuration may make large is to be asked for by `try_reserve`. And what is still
//! asked for when the reserve is used up aborts the process as before.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use linked_list_allocator::Heap;

/// Bytes of the reserve.
pub const SIZE: usize = 1024 * 1024;
/// The most bytes that one allocation gets from it.
pub const LARGEST: usize = 128 * 1024;
/// Memory is low until the system has so many bytes at once again.
const ENOUGH: usize = 64 * 1024;

/// The allocator: the system's, and a reserve behind it.
pub struct Reserve<A = System> {
    system: A,
    region: Region,
    /// Of `region`, once something was taken from it.
    heap: Mutex<Heap>,
    low: AtomicBool,
}

struct Region(UnsafeCell<[MaybeUninit<u8>; SIZE]>);

// SAFETY: the bytes are used by those only to whom the heap, behind its lock, has given them.
unsafe impl Sync for Region {}

impl Reserve {
    /// With the system's allocator.
    #[allow(clippy::new_without_default, reason = "it has to be a static")]
    pub const fn new() -> Self {
        Reserve::with(System)
    }
}

impl<A> Reserve<A> {
    /// With another allocator in front.
    const fn with(system: A) -> Self {
        Reserve {
            system,
            region: Region(UnsafeCell::new([MaybeUninit::uninit(); SIZE])),
            heap: Mutex::new(Heap::empty()),
            low: AtomicBool::new(false),
        }
    }

    /// Whether these bytes are of the reserve.
    fn owns(&self, ptr: *mut u8) -> bool {
        ptr.addr().wrapping_sub(self.region.0.get().addr()) < SIZE
    }

    fn heap(&self) -> MutexGuard<'_, Heap> {
        // Nothing panics while it is held.
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn take(&self, layout: Layout) -> *mut u8 {
        self.low.store(true, Ordering::Relaxed);
        if layout.size() > LARGEST {
            return null_mut();
        }
        let mut heap = self.heap();
        if heap.size() == 0 {
            // SAFETY: the region is this heap's alone, once, and as an allocator is a static, for ever.
            unsafe { heap.init(self.region.0.get().cast(), SIZE) };
        }
        heap.allocate_first_fit(layout).map_or(null_mut(), NonNull::as_ptr)
    }

    #[cold]
    fn give_back(&self, ptr: *mut u8, layout: Layout) {
        if let Some(ptr) = NonNull::new(ptr) {
            // SAFETY: `owns` was asked, so it came from `take`, and the caller of `dealloc` has the same layout.
            unsafe { self.heap().deallocate(ptr, layout) };
        }
    }
}

impl<A: GlobalAlloc> Reserve<A> {
    /// Whether the system had no memory the last time that it was asked, or most of the reserve is in use. Where it was
    /// so, the system is asked again: call this before work that can be refused, not for its own sake.
    pub fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed) && self.is_still_low()
    }

    #[cold]
    fn is_still_low(&self) -> bool {
        let Ok(layout) = Layout::from_size_align(ENOUGH, 16) else { return true };
        // SAFETY: the layout is not of size zero, and what was got is given back at once.
        let enough = unsafe {
            // Memory that nobody uses is not asked for, if the compiler knows.
            let probe = black_box(self.system.alloc(layout));
            if !probe.is_null() {
                self.system.dealloc(probe, layout);
            }
            !probe.is_null()
        };
        let low = !enough || self.heap().used() > SIZE / 2;
        self.low.store(low, Ordering::Relaxed);
        low
    }
}

// SAFETY: either allocator is one, and a block goes back to the one that it came from, as `owns` tells them apart.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Reserve<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the same.
        let ptr = unsafe { self.system.alloc(layout) };
        if ptr.is_null() {
            return self.take(layout);
        }
        ptr
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the same.
        let ptr = unsafe { self.system.alloc_zeroed(layout) };
        if !ptr.is_null() {
            return ptr;
        }
        let ptr = self.take(layout);
        if !ptr.is_null() {
            // SAFETY: so many bytes were taken.
            unsafe { ptr.write_bytes(0, layout.size()) };
        }
        ptr
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if self.owns(ptr) {
            return self.give_back(ptr, layout);
        }
        // SAFETY: the caller's promises are the same, and it is the system's.
        unsafe { self.system.dealloc(ptr, layout) };
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.owns(ptr) {
            // SAFETY: the caller's promises are the same, and it is the system's.
            let new = unsafe { self.system.realloc(ptr, layout, size) };
            if !new.is_null() {
                return new;
            }
        }
        let Ok(wanted) = Layout::from_size_align(size, layout.align()) else { return null_mut() };
        // SAFETY: the caller promises that the size is not zero; both blocks have the bytes that are copied, and the
        // old one is given back only when there is a new one.
        unsafe {
            let new = self.alloc(wanted);
            if !new.is_null() {
                new.copy_from_nonoverlapping(ptr, layout.size().min(size));
                self.dealloc(ptr, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests;
