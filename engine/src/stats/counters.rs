//! All counters of one client for one server.

use super::fault::LastFault;
use super::gauges::Gauges;
use super::numbers::Stats;
use crate::metrics::counter::Counter;
use crate::metrics::histogram::Histogram;
use crate::metrics::history::{History, Numbers, NUMBERS, OCTAVES};
use crate::operation::error::Error;
use crate::operation::reply::{Answer, Lease, Outcome};
use crate::operation::request::{Direction, ServerVerb, StoreMode, Verb};
use crate::operation::work::Work;
use crate::time::Instant;

/// Cancelled operations, errors of the caller, and what a server does not support are no failures of it.
const OF_THE_CALLER: [&str; 4] = ["cancelled", "client", "too_large", "unsupported"];

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

    /// The kind of an operation.
    fn of(work: &Work) -> Self {
        match work {
            Work::Keyed(Verb::Get { .. } | Verb::Lease { .. } | Verb::Inspect) => Kind::Get,
            Work::Keyed(Verb::Store { .. }) => Kind::Store,
            Work::Keyed(Verb::Count { .. }) | Work::Create { .. } => Kind::Count,
            Work::Keyed(Verb::Delete { .. } | Verb::Invalidate { .. } | Verb::Touch { .. }) => Kind::Other,
            Work::Server(_) | Work::SetBack { .. } => Kind::Other,
        }
    }

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

/// All counters of one client for one server, in memory that others may read. They are atomic numbers that start with zeros.
/// Clients of several processes may have theirs side by side in shared memory: they do not share cache lines.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Counters {
    /// Numbers.
    pub stats: Stats<Counter>,
    /// The current state.
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

    /// Adds what `own` has counted since `told`, and updates `told`.
    pub(super) fn fold(&self, own: &Counters, told: &Counters, now: Instant) {
        self.look_at(now);
        self.stats.fold(&own.stats, &told.stats);
        self.latency.iter().zip(&own.latency).zip(&told.latency).for_each(|((all, own), told)| all.fold(own, told));
        self.queue_time.fold(&own.queue_time, &told.queue_time);
        self.last_fault.fold(&own.last_fault);
    }

    /// Closes the history's open span if `now` is after it.
    #[inline]
    pub(crate) fn look_at(&self, now: Instant) {
        if self.history.is_over(now) {
            self.history.roll(self.totals(), now);
        }
    }

    /// An operation was accepted.
    #[inline]
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
            // No caller has asked for it.
            Work::SetBack { .. } | Work::Create { .. } => return,
            Work::Server(verb) => match verb {
                ServerVerb::Noop => &ops.noop,
                ServerVerb::Version => &ops.version,
                ServerVerb::Stats => &ops.stats,
                ServerVerb::FlushAll { .. } => &ops.flush_all,
                ServerVerb::Discover { .. } => &ops.discover,
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
            Err(error) => {
                self.failed_with(error, now);
                // It took no time.
                if matches!(error, Error::Unsupported(_)) {
                    return;
                }
            }
        }
        let kind = work.map_or(Kind::Other, Kind::of);
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
            Error::Unsupported(_) => &errors.unsupported,
            // These end before a server is chosen.
            Error::InvalidKey(_) | Error::NoSuchServer | Error::Shutdown { .. } => return,
        };
        self.look_at(now);
        counter.bump();
        self.last_fault.note_error(error, now);
    }

    /// The totals for the history: operations, hits, misses, errors, and durations.
    pub(super) fn totals(&self) -> Numbers {
        let stats = &self.stats;
        let mut numbers = [0; NUMBERS];
        let failed = stats.errors.list().filter(|(class, _)| !OF_THE_CALLER.contains(class));
        let errors = failed.map(|(_, count)| count).fold(0, u64::wrapping_add);
        let operations = stats.operations.list().map(|(_, count)| count).fold(0, u64::wrapping_add);
        let head = [operations, stats.hits.get(), stats.misses.get(), errors];
        let octaves = self.octaves();
        numbers.iter_mut().zip(head.into_iter().chain(octaves)).for_each(|(to, from)| *to = from);
        numbers
    }

    /// Durations of all kinds in powers of two, for the history.
    fn octaves(&self) -> impl Iterator<Item = u64> + '_ {
        (0..OCTAVES)
            .map(|octave| self.latency.iter().map(|histogram| histogram.octave(octave)).fold(0, u64::wrapping_add))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use bytes::Bytes;

    use super::*;
    use crate::operation::request::{DiscoverBy, Ttl};

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

    #[test]
    fn an_operation_is_counted_by_its_name() {
        let store = |mode, cas| Verb::Store { mode, value: Bytes::new(), flags: 0, ttl: Ttl::NEVER, cas };
        let count = |direction| Verb::Count { direction, delta: 1, initial: None, cas: 0 };
        let verbs = [
            Verb::Get { touch: None },
            Verb::Get { touch: Some(Ttl::NEVER) },
            Verb::Lease { vivify: NonZeroU32::MIN, recache: 0, wait: false },
            Verb::Inspect,
            store(StoreMode::Set, 0),
            store(StoreMode::Set, 1),
            store(StoreMode::Add, 0),
            store(StoreMode::Replace, 0),
            store(StoreMode::Append, 0),
            store(StoreMode::Prepend, 0),
            Verb::Delete { cas: 0 },
            Verb::Invalidate { ttl: None, cas: 0 },
            count(Direction::Incr),
            count(Direction::Decr),
            Verb::Touch { ttl: Ttl::NEVER },
        ];
        let discover = ServerVerb::Discover { by: DiscoverBy::Config };
        let on_server =
            [ServerVerb::Noop, ServerVerb::Version, ServerVerb::Stats, ServerVerb::FlushAll { delay: 0 }, discover];
        let keyed = verbs.into_iter().map(|verb| (verb.name(), Work::Keyed(verb)));
        let all: Vec<_> = keyed.chain(on_server.map(|verb| (verb.name(), Work::Server(verb)))).collect();
        assert_eq!(all.len(), Stats::<u64>::default().operations.list().count());
        for (name, work) in all {
            let counters = Counters::default();
            counters.accepted(&work, Instant::default());
            let counted: Vec<_> = counters.read().operations.list().filter(|&(_, n)| n > 0).collect();
            assert_eq!(counted, [(name, 1)]);
        }
    }
}
