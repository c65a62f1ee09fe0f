//! Values that siblings keep: those of responses to clients that read slowly, above all.
//!
//! A client that does not read costs the whole value, and any number of clients can do that. So the bytes of all values
//! that are kept at a time have a bound per worker, `memcache_max_retained`; beyond it `retain` says so. Large values
//! leave a part of it to small ones, which fit into the buffers of sockets and are not kept for long.

#![allow(unsafe_code)]

use core::ffi::c_int;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::nginx::clock;
use crate::nginx::log::Log;
use crate::nginx::process::on_event_loop;

/// `memcache_max_retained`, if there is none.
pub const DEFAULT: usize = 64 * 1024 * 1024;

/// Values up to this many bytes may be kept up to the bound; larger ones leave a quarter of it.
const SMALL: usize = 64 * 1024;

/// When so many bytes, and seven eighths of what they were at most, are given back, the memory goes to the system.
const WORTH: usize = 8 * 1024 * 1024;

/// Milliseconds between two lines in the error log.
const QUIET: u64 = 1000;

/* Of the process, and not of a cycle: a worker has one, and values may be given back on any thread. */

/// Bytes that are kept now.
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// The most since memory was last given to the system.
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Values that were not kept.
static REFUSED: AtomicU64 = AtomicU64::new(0);
/// Those that a line has told of, and when, by nginx's time.
static TOLD: AtomicU64 = AtomicU64::new(0);
static TOLD_AT: AtomicU64 = AtomicU64::new(0);

/// Whether a value of so many bytes may be kept; it counts from now on.
pub fn keep(len: usize, bound: usize) -> bool {
    let bytes = BYTES.load(Ordering::Relaxed);
    let most = if len <= SMALL { bound } else { bound.saturating_sub(bound / 4) };
    // One alone is always kept, however small the bound is.
    if bytes > 0 && bytes.saturating_add(len) > most {
        REFUSED.fetch_add(1, Ordering::Relaxed);
        tell(bytes, bound);
        return false;
    }
    let bytes = BYTES.fetch_add(len, Ordering::Relaxed).saturating_add(len);
    PEAK.fetch_max(bytes, Ordering::Relaxed);
    true
}

/// A value of so many bytes was given back, and its memory freed. On any thread.
pub fn give_back(len: usize) {
    let bytes = BYTES.fetch_sub(len, Ordering::Relaxed).saturating_sub(len);
    let peak = PEAK.load(Ordering::Relaxed);
    if peak < WORTH || bytes > peak / 8 || !on_event_loop() {
        return;
    }
    PEAK.store(bytes, Ordering::Relaxed);
    give_to_system();
}

/// What values were kept in is in pieces between what is still in use, where the allocator keeps it.
#[cfg(target_env = "gnu")]
fn give_to_system() {
    extern "C" {
        fn malloc_trim(pad: usize) -> c_int;
    }

    // SAFETY: the function has no preconditions.
    unsafe { malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn give_to_system() {}

/// How many bytes are kept, and how many values were not.
pub fn numbers() -> (usize, u64) {
    (BYTES.load(Ordering::Relaxed), REFUSED.load(Ordering::Relaxed))
}

/// One line, at most, in a second.
fn tell(bytes: usize, bound: usize) {
    let now = clock::nginx_msec() as u64;
    if TOLD_AT.load(Ordering::Relaxed).saturating_add(QUIET) > now && TOLD.load(Ordering::Relaxed) > 0 {
        return;
    }
    TOLD_AT.store(now, Ordering::Relaxed);
    let refused = REFUSED.load(Ordering::Relaxed);
    let more = refused.saturating_sub(TOLD.swap(refused, Ordering::Relaxed));
    Log::current(|log| {
        log.error(format_args!(
            "memcache: {more} values were not kept for clients, {bytes} bytes are, memcache_max_retained is {bound}"
        ));
    });
}
