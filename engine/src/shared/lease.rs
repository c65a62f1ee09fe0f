//! A right that one of several processes has for a time, so that one that dies is replaced.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::time::Instant;

/// A right in memory that processes share. Zeros mean that nobody has it.
///
/// There is no lock. All moments are of one clock; an implausible one counts as past.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Lease(AtomicU64);

/// The process that has it, and its end in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Held(u64);

const HOLDER_BITS: u32 = 24;
const HOLDER: u64 = (1 << HOLDER_BITS) - 1;

impl Held {
    const NONE: Held = Held(0);

    fn new(holder: u32, until: Instant) -> Held {
        Held(until.as_micros().div_ceil(1000) << HOLDER_BITS | (u64::from(holder) & HOLDER))
    }

    fn is_of(self, holder: u32) -> bool {
        self.0 & HOLDER == u64::from(holder) & HOLDER
    }

    fn until(self) -> Instant {
        Instant::from_micros((self.0 >> HOLDER_BITS).saturating_mul(1000))
    }

    /// Until when another process has it.
    fn by_another(self, holder: u32, time: Duration, now: Instant) -> Option<Instant> {
        let until = self.until();
        let plausible = until <= now.after(time.saturating_mul(10));
        (self != Held::NONE && !self.is_of(holder) && until > now && plausible).then_some(until)
    }
}

impl Lease {
    /// Asks for the right, for this time. Who has it may ask again. `Err`: another process has it, until then.
    pub fn take(&self, holder: u32, time: Duration, now: Instant) -> Result<(), Instant> {
        let current = Held(self.0.load(Ordering::Acquire));
        if let Some(until) = current.by_another(holder, time, now) {
            return Err(until);
        }
        let mine = Held::new(holder, now.after(time));
        match self.0.compare_exchange(current.0, mine.0, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(other) => Held(other).by_another(holder, time, now).map_or(Ok(()), Err),
        }
    }

    /// Gives the right back, if this process has it.
    pub fn release(&self, holder: u32) {
        let current = self.0.load(Ordering::Acquire);
        if Held(current).is_of(holder) {
            // If another process has taken it meanwhile, nothing is lost.
            let _ = self.0.compare_exchange(current, Held::NONE.0, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// The process that has the right or had it last, of whose number 24 bits are known; `None`: nobody.
    pub fn holder(&self) -> Option<u32> {
        let holder = self.0.load(Ordering::Acquire) & HOLDER;
        u32::try_from(holder).ok().filter(|&holder| holder > 0)
    }
}
