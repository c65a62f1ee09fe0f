//! Requests to a client.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;

/// memcached reads an expiry up to this many seconds as relative, and a larger one as a moment in Unix time.
const MAX_RELATIVE: u32 = 30 * 24 * 60 * 60;

/// The last moment that memcached supports, in Unix time: it reads 31 bits.
const LAST_MOMENT: u64 = 0x7fff_ffff;

/// How long an item lives, in the protocol's own form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ttl(u32);

impl Ttl {
    /// The item does not expire; it can still be evicted.
    pub const NEVER: Ttl = Ttl(0);

    /// `secs` seconds from now; `0` is [`NEVER`](Ttl::NEVER).
    ///
    /// memcached reads more than 30 days as a moment in Unix time, so these are converted with `unix_now`, the seconds since
    /// 1970. Its last moment is in January 2038: with a later one, the item is expired, or the command is refused. So a later
    /// expiry is set to that moment, or to 30 days if that is later.
    pub fn secs(secs: u32, unix_now: u64) -> Ttl {
        let relative = Ttl(secs.min(MAX_RELATIVE));
        if secs <= MAX_RELATIVE {
            return relative;
        }
        let at = unix_now.saturating_add(u64::from(secs)).min(LAST_MOMENT);
        if at <= unix_now.saturating_add(u64::from(MAX_RELATIVE)) {
            return relative;
        }
        u32::try_from(at).map_or(relative, Ttl)
    }

    /// An item's remaining time, as memcached reports it; `None`: it does not expire.
    ///
    /// 0 would mean never, and more than 30 days would be a moment: these become a second, or 30 days.
    pub(crate) fn remaining(secs: Option<u32>) -> Ttl {
        secs.map_or(Ttl::NEVER, |secs| Ttl(secs.clamp(1, MAX_RELATIVE)))
    }

    /// The shortest life.
    pub(crate) const SECOND: Ttl = Ttl(1);

    pub(crate) fn wire(self) -> u32 {
        self.0
    }

    /// The shorter one of this and so many seconds, which are 30 days at most.
    pub(crate) fn at_most(self, secs: NonZeroU32) -> Ttl {
        match self.0 {
            relative @ 1..=MAX_RELATIVE => Ttl(relative.min(secs.get())),
            // It never ends, or at a moment that is more than 30 days away.
            _ => Ttl(secs.get()),
        }
    }

    /// Seconds for commands that allow at most 30 days; longer ones become 30 days.
    pub(crate) fn bounded(secs: u32) -> u32 {
        secs.min(MAX_RELATIVE)
    }
}

/// Kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreMode {
    /// Whether or not there is an item; with `cas`, compare-and-swap.
    Set,
    /// Only if there is no item.
    Add,
    /// Only if there is one.
    Replace,
    /// Behind the value of an item; flags and ttl stay.
    Append,
    /// In front of the value of an item; flags and ttl stay.
    Prepend,
}

/// The direction of counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Wraps around at 2^64.
    Incr,
    /// Stops at 0.
    Decr,
}

/// An operation on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads the item; with `touch`, sets its expiry as well.
    Get {
        /// The new expiry, if any.
        touch: Option<Ttl>,
    },
    /// Reads the item, and gives one caller the lease to make it anew when that is due.
    Lease {
        /// Seconds of the lease on a missing item; at most 30 days, longer ones are cut.
        vivify: NonZeroU32,
        /// An item that has fewer seconds left, at most 30 days, is made anew before it expires; 0: none is.
        recache: u32,
        /// Wait for the item that another caller makes, until the deadline, instead of losing without a value.
        wait: bool,
    },
    /// Asks about the item without reading it, and without counting as a use of it.
    Inspect,
    /// Writes the item.
    Store {
        /// Under which condition.
        mode: StoreMode,
        /// What to store.
        value: Bytes,
        /// Opaque to memcached, returned with the item.
        flags: u32,
        /// When the item expires.
        ttl: Ttl,
        /// If not 0: only if the item still has this version; of no use with `Add` and `Replace`.
        cas: u64,
    },
    /// Removes the item.
    Delete {
        /// If not 0: only if the item still has this version.
        cas: u64,
    },
    /// Marks the item as stale: gets miss it, and a lease get returns the old value while one caller makes a new one.
    Invalidate {
        /// How long the stale item is kept, if not as long as before.
        ttl: Option<Ttl>,
        /// If not 0: only if the item still has this version.
        cas: u64,
    },
    /// Counts, on a value that is a decimal number of 64 bits.
    Count {
        /// Up or down.
        direction: Direction,
        /// By how much.
        delta: u64,
        /// Value and expiry of the item if there is none; without it that is a miss.
        initial: Option<(u64, Ttl)>,
        /// If not 0: only if the item still has this version.
        cas: u64,
    },
    /// Sets the item's expiry.
    Touch {
        /// The new expiry.
        ttl: Ttl,
    },
}

impl Verb {
    /// The word in diagnostics, as in [`Operations`](crate::stats::Operations).
    pub fn name(&self) -> &'static str {
        match self {
            Verb::Get { touch: None } => "get",
            Verb::Get { touch: Some(_) } => "get_and_touch",
            Verb::Lease { .. } => "lease",
            Verb::Inspect => "inspect",
            Verb::Store { mode: StoreMode::Set, cas: 0, .. } => "set",
            Verb::Store { mode: StoreMode::Set, .. } => "compare_and_swap",
            Verb::Store { mode: StoreMode::Add, .. } => "add",
            Verb::Store { mode: StoreMode::Replace, .. } => "replace",
            Verb::Store { mode: StoreMode::Append, .. } => "append",
            Verb::Store { mode: StoreMode::Prepend, .. } => "prepend",
            Verb::Delete { .. } => "delete",
            Verb::Invalidate { .. } => "invalidate",
            Verb::Count { direction: Direction::Incr, .. } => "incr",
            Verb::Count { direction: Direction::Decr, .. } => "decr",
            Verb::Touch { .. } => "touch",
        }
    }

    /// Whether the operation changes something at the server. A get that touches does, and so does a lease get. It is not
    /// repeated if it may have been carried out.
    pub fn is_write(&self) -> bool {
        !matches!(self, Verb::Get { touch: None } | Verb::Inspect)
    }

    /// Whether it deletes or marks one version of an item.
    pub(crate) fn compares_on_delete(&self) -> bool {
        matches!(self, Verb::Delete { cas: 1.. } | Verb::Invalidate { cas: 1.., .. })
    }

    /// Drops the value: it was sent, and a store that was sent is not repeated.
    pub(crate) fn release_value(&mut self) {
        if let Verb::Store { value, .. } = self {
            *value = Bytes::new();
        }
    }

    /// Bytes of the value that the operation carries.
    pub fn value_len(&self) -> usize {
        match self {
            Verb::Store { value, .. } => value.len(),
            _ => 0,
        }
    }
}

/// How a configuration endpoint is asked for the servers of its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoverBy {
    /// `config get cluster`: ElastiCache since 1.4.14, and Memorystore.
    Config,
    /// `get AmazonElastiCache:cluster`: older ones of ElastiCache.
    Item,
}

/// An operation on a server itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerVerb {
    /// Asks for nothing but an answer.
    Noop,
    /// Asks for its version.
    Version,
    /// Asks for its general statistics.
    Stats,
    /// Forgets all items.
    FlushAll {
        /// After so many seconds, at most 30 days.
        delay: u32,
    },
    /// Asks for the servers of its cluster. [`Discovery`](crate::config::Discovery) reads the answer.
    Discover {
        /// In which way.
        by: DiscoverBy,
    },
}

impl ServerVerb {
    /// The word in diagnostics, as in [`Operations`](crate::stats::Operations).
    pub fn name(self) -> &'static str {
        match self {
            ServerVerb::Noop => "noop",
            ServerVerb::Version => "version",
            ServerVerb::Stats => "stats",
            ServerVerb::FlushAll { .. } => "flush_all",
            ServerVerb::Discover { .. } => "discover",
        }
    }

    /// Whether the operation changes something at the server.
    pub fn is_write(self) -> bool {
        matches!(self, ServerVerb::FlushAll { .. })
    }

    /// Whether a server may answer by closing the connection, without having said so before: the operation goes alone.
    pub fn is_alone(self) -> bool {
        // They cannot be tried: flush_all has an effect, and hardly any server knows the question for servers.
        // memcached's own proxy closes the connection at flush_all, and twemproxy at whatever it does not know.
        matches!(self, ServerVerb::FlushAll { .. } | ServerVerb::Discover { .. })
    }
}

/// An operation on a key, with its timeout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The key without the configured prefix.
    pub key: &'a [u8],
    /// The operation.
    pub verb: Verb,
    /// Queue, connect and exchange together; `None` is the configured timeout. Bounded by
    /// [`MAX_TIMEOUT`](crate::limits::MAX_TIMEOUT).
    pub timeout: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_over_thirty_days_is_absolute() {
        assert_eq!(Ttl::secs(0, 1_700_000_000), Ttl::NEVER);
        assert_eq!(Ttl::secs(60, 1_700_000_000).wire(), 60);
        assert_eq!(Ttl::secs(2_592_000, 1_700_000_000).wire(), 2_592_000);
        assert_eq!(Ttl::secs(2_592_001, 1_700_000_000).wire(), 1_702_592_001);
    }

    /// Moments beyond 31 bits are lost by memcached, or refused (R3).
    #[test]
    fn r3_no_ttl_is_beyond_what_memcached_knows() {
        const NOW: u64 = 1_795_000_000;
        let last = u32::try_from(LAST_MOMENT).unwrap();
        for secs in [360_000_000, last, last + 1, u32::MAX] {
            assert_eq!(Ttl::secs(secs, NOW).wire(), last, "{secs}");
        }
        let most = u32::try_from(LAST_MOMENT - NOW).unwrap();
        assert_eq!(Ttl::secs(most, NOW).wire(), last);
        assert_eq!(Ttl::secs(most - 1, NOW).wire(), last - 1);
        // In 2038, and later, moments are of no use.
        for now in [LAST_MOMENT - u64::from(MAX_RELATIVE), LAST_MOMENT, LAST_MOMENT + 1, 4_294_967_295, u64::MAX] {
            for secs in [MAX_RELATIVE + 1, u32::MAX] {
                assert_eq!(Ttl::secs(secs, now).wire(), MAX_RELATIVE, "{secs} at {now}");
            }
            assert_eq!(Ttl::secs(60, now).wire(), 60);
            assert_eq!(Ttl::secs(0, now), Ttl::NEVER);
        }
    }
}
