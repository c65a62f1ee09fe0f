//! How long an item lives.

#![forbid(unsafe_code)]

use std::time::Duration;

/// How long an item lives: whole seconds from now, or for ever.
///
/// A [`Duration`] becomes whole seconds, rounded up. None becomes memcached's zero, which is "never expires": an empty duration
/// is one second, and the longest is 2³² − 1 seconds (136 years). memcached knows moments up to January 2038: an item that would
/// live longer is kept until then.
///
/// ```
/// use std::time::Duration;
/// use ngx_memcache::{Seconds, Ttl};
///
/// assert_eq!(Ttl::from(60.secs()).as_secs(), 60);
/// assert_eq!(Ttl::from(Duration::from_millis(1500)).as_secs(), 2);
/// assert_eq!(Ttl::from(Duration::ZERO).as_secs(), 1);
/// assert_eq!(Ttl::NEVER.as_secs(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ttl(u32);

impl Ttl {
    /// The item does not expire; memcached may still evict it. What an operation does without a ttl.
    pub const NEVER: Ttl = Ttl(0);

    /// From a number as it is written in memcached's protocol, where zero means [`NEVER`](Ttl::NEVER).
    pub const fn from_protocol(seconds: u32) -> Self {
        Ttl(seconds)
    }

    /// Seconds; zero for [`NEVER`](Ttl::NEVER).
    pub const fn as_secs(self) -> u32 {
        self.0
    }
}

impl From<Duration> for Ttl {
    fn from(duration: Duration) -> Self {
        let started = u64::from(duration.subsec_nanos() > 0);
        let seconds = duration.as_secs().saturating_add(started).max(1);
        Ttl(u32::try_from(seconds).unwrap_or(u32::MAX))
    }
}

/// Lets numbers say their unit: `60.secs()`.
pub trait Seconds {
    /// So many seconds.
    fn secs(self) -> Duration;
}

impl Seconds for u64 {
    fn secs(self) -> Duration {
        Duration::from_secs(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_up_and_clamps() {
        let ttl = |duration: Duration| Ttl::from(duration).as_secs();
        assert_eq!(ttl(60.secs()), 60);
        assert_eq!(ttl(Duration::from_nanos(1)), 1);
        assert_eq!(ttl(Duration::ZERO), 1);
        assert_eq!(ttl(Duration::new(2, 1)), 3);
        assert_eq!(ttl(Duration::from_secs(u64::from(u32::MAX))), u32::MAX);
        assert_eq!(ttl(Duration::MAX), u32::MAX);
        assert_eq!(Ttl::NEVER, Ttl::from_protocol(0));
    }
}
