//! Values that siblings keep: those of responses to clients that read slowly, above all.
//!
//! A client that does not read costs the whole value, and any number of clients can do that. So the bytes of all values
//! that are kept at a time have a bound per worker, `memcache_max_retained`; beyond it `retain` says so. Large values
//! leave a part of it to small ones, which fit into the buffers of sockets and are not kept for long.

#![allow(unsafe_code)]

use core::ffi::{c_int, c_void};
use core::mem::{self, MaybeUninit};
use core::ptr;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use nginx_sys::ngx_str_t;

use super::outcome::Status;
use super::sys::*;
use crate::nginx::clock;
use crate::nginx::log::Log;
use crate::nginx::process::on_event_loop;

/// `memcache_max_retained`, if there is none.
pub const MAX_RETAINED: usize = 64 * 1024 * 1024;

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

/// Keeps a value for a sibling, which counts from now on.
pub fn keep(bytes: Bytes, bound: usize) -> Result<ngx_http_memcache_value_t, Status> {
    let len = bytes.len();
    let kept = BYTES.load(Ordering::Relaxed);
    let most = if len <= SMALL { bound } else { bound.saturating_sub(bound / 4) };
    // One alone is always kept, however small the bound is.
    if kept > 0 && kept.saturating_add(len) > most {
        REFUSED.fetch_add(1, Ordering::Relaxed);
        tell(kept, bound);
        return Err(NGX_HTTP_MEMCACHE_RETAIN_LIMIT);
    }
    let kept = BYTES.fetch_add(len, Ordering::Relaxed).saturating_add(len);
    PEAK.fetch_max(kept, Ordering::Relaxed);
    let text = ngx_str_t { len, data: bytes.as_ptr().cast_mut() };
    Ok(ngx_http_memcache_value_t { bytes: text, owner: owner_of(bytes) })
}

/// Gives a value back, and leaves an empty one that may be given back again. On any thread.
///
/// # Safety
///
/// The value is empty, or one that [`keep`] has returned and nobody has given back.
pub unsafe fn release(value: &mut ngx_http_memcache_value_t) {
    let owner = mem::replace(&mut value.owner, [ptr::null_mut(); 4]);
    value.bytes = ngx_str_t::empty();
    if owner != [ptr::null_mut(); 4] {
        // SAFETY: by the contract; it was emptied just now, so this happens once.
        let bytes = unsafe { bytes_of(owner) };
        let len = bytes.len();
        drop(bytes);
        give_back(len);
    }
}

/// A value of so many bytes was given back, and its memory freed.
fn give_back(len: usize) {
    let bytes = BYTES.fetch_sub(len, Ordering::Relaxed).saturating_sub(len);
    let peak = PEAK.load(Ordering::Relaxed);
    if peak < WORTH || bytes > peak / 8 || !on_event_loop() {
        return;
    }
    PEAK.store(bytes, Ordering::Relaxed);
    give_to_system();
}

/// A counted slice as four words. They are not all zero: one of them points to a table of functions.
fn owner_of(bytes: Bytes) -> [*mut c_void; 4] {
    const { assert!(size_of::<Bytes>() == size_of::<[*mut c_void; 4]>()) };
    const { assert!(align_of::<Bytes>() == align_of::<[*mut c_void; 4]>()) };

    let mut owner = MaybeUninit::<[*mut c_void; 4]>::zeroed();
    // SAFETY: size and alignment are right; a `Bytes` has no padding.
    unsafe {
        owner.as_mut_ptr().cast::<Bytes>().write(bytes);
        owner.assume_init()
    }
}

/// # Safety
///
/// The words come from [`owner_of`] and are used once.
unsafe fn bytes_of(owner: [*mut c_void; 4]) -> Bytes {
    // SAFETY: by the contract.
    unsafe { mem::transmute(owner) }
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
pub fn retained() -> (usize, u64) {
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
