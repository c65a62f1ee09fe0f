//! What is counted, per server.

mod counter;
mod fault;
mod gauges;
mod histogram;
mod history;
mod rest;

pub use counter::{Counter, Memory};
pub use fault::{Fault, LastFault};
pub use gauges::Gauges;
pub use histogram::{Distribution, Histogram, BOUND, BUCKETS, STEPS};
pub use history::{history, History, Sample, SPAN, SPANS};
pub(crate) use rest::Rest;

use crate::client::Work;
use crate::operation::error::Error;
use crate::operation::reply::{Answer, Lease, Outcome};
use crate::operation::request::{Direction, ServerVerb, StoreMode, Verb};
use crate::time::Instant;

/// Numbers with names: as they are counted (`C` is [`Counter`]), and as they are read.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident {
        $([$(#[$group_doc:meta])* $group:ident: $Group:ident])*
        $($(#[$field_doc:meta])* $field:ident,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name<C = u64> {
            $($(#[$group_doc])* pub $group: $Group<C>,)*
            $($(#[$field_doc])* pub $field: C,)*
        }

        impl $name {
            /// Every counter with its name; those of groups are in their own lists.
            pub fn list(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field)),*].into_iter()
            }

            /// Adds what was counted there.
            pub fn add(&mut self, more: &$name<Counter>) {
                $(self.$group.add(&more.$group);)*
                $(self.$field = self.$field.wrapping_add(more.$field.get());)*
            }

            /// What was counted after that.
            pub fn since(&self, before: &Self) -> Self {
                $name {
                    $($group: self.$group.since(&before.$group),)*
                    $($field: self.$field.wrapping_sub(before.$field),)*
                }
            }
        }

        impl $name<Counter> {
            /// Every counter with its name; those of groups are in their own lists.
            pub fn list(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field.get())),*].into_iter()
            }

            fn fold(&self, own: &Self, told: &Self) {
                $(self.$group.fold(&own.$group, &told.$group);)*
                $(self.$field.fold(&own.$field, &told.$field);)*
            }
        }
    };
}

counters! {
    /// Operations that were accepted, by kind.
    Operations {
        /// get
        get,
        /// get-and-touch
        get_and_touch,
        /// lease get
        lease,
        /// metadata get
        inspect,
        /// set without a version
        set,
        /// set with a version
        compare_and_swap,
        /// add
        add,
        /// replace
        replace,
        /// append
        append,
        /// prepend
        prepend,
        /// delete
        delete,
        /// mark as stale
        invalidate,
        /// incr
        incr,
        /// decr
        decr,
        /// touch
        touch,
        /// noop
        noop,
        /// version
        version,
        /// stats
        stats,
        /// flush_all
        flush_all,
    }
}

counters! {
    /// Operations that failed, by class; a miss is not a failure.
    Errors {
        /// [`Error::NotSent`]
        not_sent,
        /// [`Error::Unknown`]
        unknown,
        /// [`Error::Timeout`]
        timeout,
        /// [`Error::Busy`]
        busy,
        /// [`Error::ServerDown`]
        server_down,
        /// [`Error::Server`]
        server,
        /// [`Error::Client`]
        client,
        /// [`Error::Protocol`]
        protocol,
        /// [`Error::TooLarge`]
        too_large,
        /// [`Error::NoMemory`]
        no_memory,
        /// [`Error::Unsupported`]
        unsupported,
        /// Cancelled by the caller, with or without an answer on its way.
        cancelled,
    }
}

counters! {
    /// How often a limit was hit; values that are too large are among the errors.
    Limits {
        /// Operations refused, as `memcache_queue` of them waited.
        queue,
        /// Operations refused, as [`MAX_BACKLOG`](crate::MAX_BACKLOG) bytes waited.
        backlog,
        /// Operations that had to wait, as each of `max` connections had
        /// [`PIPELINE_BOUND`](crate::PIPELINE_BOUND) times `memcache_pipeline` replies pending; and those that had to follow
        /// a write of their key, and were refused, as its connection had `memcache_queue` more of them.
        pipeline,
        /// Connects put off, as there were [`CONNECT_RATE`](crate::CONNECT_RATE) of them in the last second.
        connects,
        /// Connections closed, as a reply had a line above [`MAX_LINE`](crate::MAX_LINE), or statistics above
        /// [`MAX_STATS`](crate::MAX_STATS).
        reply,
    }
}

counters! {
    /// The counters of a server since the client was made.
    Stats {
        [
            /// Operations that were accepted, by kind.
            operations: Operations
        ]
        [
            /// Operations that failed, by class.
            errors: Errors
        ]
        [
            /// How often a limit was hit.
            limits: Limits
        ]
        /// Gets that found an item.
        hits,
        /// Gets that found none.
        misses,
        /// Gets that shared the exchange of another one.
        coalesced,
        /// Leases that came to somebody who does not make the item, and were handed back.
        handed_back,
        /// Operations that went to another server, as this one was down.
        failed_over,
        /// Operations that were sent again, as their first connection ended.
        retried,
        /// Bytes received.
        bytes_read,
        /// Bytes sent.
        bytes_written,
        /// Connections that passed their handshake.
        opened,
        /// Connections that did not.
        failed,
        /// Connections that ended abnormally after their handshake.
        lost,
    }
}

/// Kinds of operations with a histogram of their own: those whose durations differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything that reads an item.
    Get,
    /// Everything that carries a value.
    Store,
    /// incr, decr
    Count,
    /// Everything else: delete, invalidate, touch, and operations on a server.
    Other,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Get, Kind::Store, Kind::Count, Kind::Other];

    /// The word in diagnostics.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Get => "get",
            Kind::Store => "store",
            Kind::Count => "count",
            Kind::Other => "other",
        }
    }
}

/// All that one client counts for one server, in memory that others may read: atomic numbers and nothing else, for which
/// zeros are the beginning. The clients of several processes may have theirs side by side in shared memory: no line of a
/// processor's cache belongs to two of them.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Counters {
    /// Numbers.
    pub stats: Stats<Counter>,
    /// What there is now.
    pub gauges: Gauges,
    /// The last fault.
    pub last_fault: LastFault,
    /// From submit to completion, by [`Kind`]; operations that failed or timed out after they were accepted included.
    pub latency: [Histogram; 4],
    /// From submit until the operation was written.
    pub queue_time: Histogram,
    /// The last minutes.
    pub history: History,
}

impl Counters {
    /// The numbers as they are now.
    pub fn read(&self) -> Stats {
        let mut stats = Stats::default();
        stats.add(&self.stats);
        stats
    }

    /// Adds what `own` has counted since `told`, which remembers that.
    fn fold(&self, own: &Counters, told: &Counters, now: Instant) {
        self.look_at(now);
        self.stats.fold(&own.stats, &told.stats);
        self.latency.iter().zip(&own.latency).zip(&told.latency).for_each(|((all, own), told)| all.fold(own, told));
        self.queue_time.fold(&own.queue_time, &told.queue_time);
        self.last_fault.fold(&own.last_fault);
    }

    /// Sees to it that what is counted from now on is in the history at its time.
    #[inline]
    pub(crate) fn look_at(&self, now: Instant) {
        if self.history.is_over(now) {
            self.history.roll(self, now);
        }
    }

    /// An operation was accepted.
    pub(crate) fn accepted(&self, work: &Work, now: Instant) {
        self.look_at(now);
        let ops = &self.stats.operations;
        let counter = match work {
            Work::Keyed(verb) => match verb {
                Verb::Get { touch: None } => &ops.get,
                Verb::Get { touch: Some(_) } => &ops.get_and_touch,
                Verb::Lease { .. } => &ops.lease,
                Verb::Inspect => &ops.inspect,
                Verb::Store { mode: StoreMode::Set, cas: 0, .. } => &ops.set,
                Verb::Store { mode: StoreMode::Set, .. } => &ops.compare_and_swap,
                Verb::Store { mode: StoreMode::Add, .. } => &ops.add,
                Verb::Store { mode: StoreMode::Replace, .. } => &ops.replace,
                Verb::Store { mode: StoreMode::Append, .. } => &ops.append,
                Verb::Store { mode: StoreMode::Prepend, .. } => &ops.prepend,
                Verb::Delete { .. } => &ops.delete,
                Verb::Invalidate { .. } => &ops.invalidate,
                Verb::Count { direction: Direction::Incr, .. } => &ops.incr,
                Verb::Count { direction: Direction::Decr, .. } => &ops.decr,
                Verb::Touch { .. } => &ops.touch,
            },
            Work::Server(verb) => match verb {
                ServerVerb::Noop => &ops.noop,
                ServerVerb::Version => &ops.version,
                ServerVerb::Stats => &ops.stats,
                ServerVerb::FlushAll { .. } => &ops.flush_all,
            },
        };
        counter.bump();
    }

    /// An operation that was accepted at `submitted` ended.
    pub(crate) fn answered(&self, answer: &Answer, work: Option<&Work>, submitted: Instant, now: Instant) {
        let stats = &self.stats;
        match answer {
            Ok(Outcome::Item(_) | Outcome::Lease(Lease::Hit(_) | Lease::Won { old: Some(_), .. })) => stats.hits.bump(),
            Ok(Outcome::Lease(Lease::Lost { old: Some(_), .. })) => stats.hits.bump(),
            Ok(Outcome::Lease(_)) => stats.misses.bump(),
            Ok(Outcome::Miss) if work.is_some_and(Work::is_get) => stats.misses.bump(),
            Ok(_) => {}
            Err(error) => self.failed_with(error, now),
        }
        let kind = work.map_or(Kind::Other, Work::kind);
        if let Some(histogram) = self.latency.get(kind as usize) {
            histogram.record(submitted, now);
        }
    }

    /// An operation ended with an error, or was refused with it.
    pub(crate) fn failed_with(&self, error: &Error, now: Instant) {
        let errors = &self.stats.errors;
        let counter = match error {
            Error::NotSent => &errors.not_sent,
            Error::Unknown { .. } => &errors.unknown,
            Error::Timeout { .. } => &errors.timeout,
            Error::Busy => &errors.busy,
            Error::ServerDown => &errors.server_down,
            Error::Server(_) => &errors.server,
            Error::Client(_) => &errors.client,
            Error::Protocol { .. } => &errors.protocol,
            Error::TooLarge { .. } => &errors.too_large,
            Error::NoMemory => &errors.no_memory,
            Error::Unsupported => &errors.unsupported,
            // These end before a server is chosen.
            Error::InvalidKey(_) | Error::NoSuchServer | Error::Shutdown { .. } => return,
        };
        self.look_at(now);
        counter.bump();
        self.last_fault.note_error(error, now);
    }

    /// Durations of all kinds in powers of two, for the history.
    fn octaves(&self) -> impl Iterator<Item = u64> + '_ {
        (0..BUCKETS / STEPS)
            .map(|octave| self.latency.iter().map(|histogram| histogram.octave(octave)).fold(0, u64::wrapping_add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_have_every_word() {
        let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../status/README.md")).unwrap();
        let (_, docs) = docs.split_once("## Words").unwrap();
        let (docs, _) = docs.split_once("## Metrics").unwrap();
        let tables: Vec<&str> = docs.split("\n\n").filter(|table| table.starts_with('|')).collect();
        let [operations, errors, limits, kinds] = tables.try_into().unwrap();
        let words = |table: &str| {
            let rows = table.lines().skip(2).flat_map(|row| row.split('|').nth(1));
            let words = rows.flat_map(|cell| cell.split(',').map(|word| word.trim().trim_matches('`').to_string()));
            words.collect::<std::collections::BTreeSet<_>>()
        };
        let stats: Stats = Stats::default();
        let names = |names: Vec<(&str, u64)>| names.into_iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(words(operations), names(stats.operations.list().collect()));
        assert_eq!(words(errors), names(stats.errors.list().collect()));
        assert_eq!(words(limits), names(stats.limits.list().collect()));
        assert_eq!(words(kinds), names(Kind::ALL.map(|kind| (kind.name(), 0)).to_vec()));
    }
}
