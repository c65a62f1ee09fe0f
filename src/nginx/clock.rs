//! Clocks.

#![allow(unsafe_code)]

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use memcache_engine::Instant;
use nginx_sys::{clock_gettime, ngx_msec_t, ngx_time_t, CLOCK_MONOTONIC};

use super::global::global;

/// The time of all workers: the host's monotonic clock. Shared memory uses it, too.
pub fn now() -> Instant {
    let mut time = MaybeUninit::zeroed();
    // SAFETY: there is room for the result; zeros are one, should there be no such clock.
    let time = unsafe {
        clock_gettime(CLOCK_MONOTONIC as _, time.as_mut_ptr());
        time.assume_init()
    };
    let micros = |number: i64| u64::try_from(number).unwrap_or(0);
    Instant::from_micros(micros(time.tv_sec).saturating_mul(1_000_000).saturating_add(micros(time.tv_nsec) / 1000))
}

/// nginx's own time. It advances once per turn of the event loop at most, unless another module updates it.
pub fn nginx_msec() -> ngx_msec_t {
    global!(ngx_current_msec)
}

/// nginx's clock. It points to one of nginx's own slots, which are never freed.
fn cached() -> Option<&'static ngx_time_t> {
    let time = global!(ngx_cached_time);
    // SAFETY: nginx sets it before it reads a configuration, and changes what it points to on this thread only.
    unsafe { time.as_ref() }
}

/// Minutes that local time, which nginx's logs have, is ahead of UTC.
pub fn utc_offset() -> i32 {
    i32::try_from(cached().map_or(0, |time| time.gmtoff)).unwrap_or(0)
}

/// Seconds since 1970, by nginx's clock, as nginx has them.
pub fn nginx_seconds() -> i64 {
    cached().map_or(0, |time| time.sec)
}

/// The same, as a number that is never negative.
pub fn unix_secs() -> u64 {
    u64::try_from(nginx_seconds()).unwrap_or(0)
}

/// Converts moments to milliseconds since the Unix epoch.
#[derive(Clone, Copy)]
pub struct Calendar {
    now: Instant,
    /// The origin of moments, in microseconds since the epoch.
    origin: u64,
}

impl Calendar {
    /// As of now.
    pub fn new() -> Calendar {
        // The two clocks are not read at once, and one of them is corrected now and then: as long as it is little, a
        // moment stays where it was.
        const LITTLE: u64 = 100_000;
        static ORIGIN: AtomicU64 = AtomicU64::new(0);

        let now = now();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let origin = u64::try_from(unix.as_micros()).unwrap_or(u64::MAX).saturating_sub(now.as_micros());
        let before = ORIGIN.load(Ordering::Relaxed);
        if origin.abs_diff(before) <= LITTLE {
            return Calendar { now, origin: before };
        }
        ORIGIN.store(origin, Ordering::Relaxed);
        Calendar { now, origin }
    }

    /// Now.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The time of a moment.
    pub fn millis(&self, at: Instant) -> u64 {
        self.origin.saturating_add(at.as_micros()) / 1000
    }
}
