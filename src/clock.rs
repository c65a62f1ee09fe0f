//! What time it is.

#![allow(unsafe_code)]

use core::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

use memcache_engine::Instant;
use nginx_sys::{clock_gettime, CLOCK_MONOTONIC};

/// The time of all workers: the host's monotonic clock, which what they share is written by.
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

/// From moments to milliseconds since the Unix epoch, as the two clocks are now.
#[derive(Clone, Copy)]
pub struct Calendar {
    now: Instant,
    unix: u64,
}

impl Calendar {
    /// As of now.
    pub fn new() -> Calendar {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Calendar { now: now(), unix: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Now.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// When that was, or will be.
    pub fn millis(&self, at: Instant) -> u64 {
        let before = self.now.as_micros().saturating_sub(at.as_micros()) / 1000;
        let after = at.as_micros().saturating_sub(self.now.as_micros()) / 1000;
        self.unix.saturating_sub(before).saturating_add(after)
    }
}
