//! Time as an argument: the engine reads no clock.

use std::time::Duration;

/// A moment on a monotonic clock, in microseconds since an origin that the driver chooses once.
///
/// 64 bits of microseconds do not wrap in any uptime, so moments compare without the care that nginx's
/// `ngx_current_msec` needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Instant(micros)
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The moment `duration` later; the far end of time if that is out of range.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let micros = duration.as_secs().saturating_mul(1_000_000).saturating_add(duration.subsec_micros().into());
        Instant(self.0.saturating_add(micros))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let t = Instant::from_micros(5);
        assert_eq!(t.after(Duration::from_millis(1)).as_micros(), 1005);
        assert_eq!(t.after(Duration::MAX).as_micros(), u64::MAX);
        assert_eq!(t.since(Instant::from_micros(9)), Duration::ZERO);
        assert_eq!(t.since(Instant::from_micros(2)), Duration::from_micros(3));
    }
}
