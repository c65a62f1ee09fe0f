//! Values that siblings keep, above all for responses to slow clients.
//!
//! A client that does not read its response holds the whole value, and any number of clients can do that. So each worker
//! bounds the bytes of all kept values: `memcache_max_retained`. Beyond it, `retain` fails. A part of the bound is reserved
//! for small values, which fit into the buffers of sockets and are released soon.

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

/// The default of `memcache_max_retained`.
pub const MAX_RETAINED: usize = 64 * 1024 * 1024;

/// Values of at most this many bytes may use the whole bound, larger ones three quarters of it.
const SMALL: usize = 64 * 1024;

/// The memory goes back to the system when this many bytes, and seven eighths of the peak, were released.
const TRIM_AT: usize = 8 * 1024 * 1024;

/// Milliseconds between two lines in the error log.
const LOG_INTERVAL: u64 = 1000;

/* Of the process, and not of a cycle: a worker has one, and values may be given back on any thread. */

/// Bytes that are kept.
static BYTES: AtomicUsize = AtomicUsize::new(0);
/// Their maximum since memory last went back to the system.
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Values that were not kept.
static REFUSED: AtomicU64 = AtomicU64::new(0);
/// Those that were logged, and nginx's time of the last line.
static LOGGED: AtomicU64 = AtomicU64::new(0);
static LOGGED_AT: AtomicU64 = AtomicU64::new(0);

/// Keeps a value for a sibling, and counts it.
pub fn keep(bytes: Bytes, bound: usize) -> Result<ngx_http_memcache_value_t, Status> {
    let len = bytes.len();
    let kept = BYTES.load(Ordering::Relaxed);
    let most = if len <= SMALL { bound } else { bound.saturating_sub(bound / 4) };
    // One alone is always kept, however small the bound is.
    if kept > 0 && kept.saturating_add(len) > most {
        REFUSED.fetch_add(1, Ordering::Relaxed);
        log_refused(kept, bound);
        return Err(NGX_HTTP_MEMCACHE_RETAIN_LIMIT);
    }
    let kept = BYTES.fetch_add(len, Ordering::Relaxed).saturating_add(len);
    PEAK.fetch_max(kept, Ordering::Relaxed);
    let text = ngx_str_t { len, data: bytes.as_ptr().cast_mut() };
    Ok(ngx_http_memcache_value_t { bytes: text, owner: owner_of(bytes) })
}

/// Releases a value, and leaves an empty one that may be released again. On any thread.
///
/// # Safety
///
/// The value is empty, or one that [`keep`] has returned and nobody has released.
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
    if peak < TRIM_AT || bytes > peak / 8 || !on_event_loop() {
        return;
    }
    PEAK.store(bytes, Ordering::Relaxed);
    trim();
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

/// Returns free memory to the system: the allocator keeps the pieces between blocks that are still in use.
#[cfg(target_env = "gnu")]
fn trim() {
    extern "C" {
        fn malloc_trim(pad: usize) -> c_int;
    }

    // SAFETY: the function has no preconditions.
    unsafe { malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn trim() {}

/// How many bytes are kept, and how many values were refused.
pub fn retained() -> (usize, u64) {
    (BYTES.load(Ordering::Relaxed), REFUSED.load(Ordering::Relaxed))
}

/// Logs at most one line per second.
fn log_refused(bytes: usize, bound: usize) {
    let now = clock::nginx_msec() as u64;
    if LOGGED_AT.load(Ordering::Relaxed).saturating_add(LOG_INTERVAL) > now && LOGGED.load(Ordering::Relaxed) > 0 {
        return;
    }
    LOGGED_AT.store(now, Ordering::Relaxed);
    let refused = REFUSED.load(Ordering::Relaxed);
    let more = refused.saturating_sub(LOGGED.swap(refused, Ordering::Relaxed));
    Log::current(|log| {
        log.error(format_args!(
            "memcache: {more} values were not kept for clients, {bytes} bytes are, memcache_max_retained is {bound}"
        ));
    });
}
