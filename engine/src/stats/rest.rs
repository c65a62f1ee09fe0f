//! Counters of clients without shared memory of their own.

use super::counters::Counters;
use crate::metrics::counter::Memory;
use crate::time::Instant;

/// The sum of the counters of several clients. It has no gauges of each. If two clients enter a new span at the same time, the
/// history may lose counts of the span before; counters lose none.
#[derive(Debug)]
pub(crate) struct Rest {
    sum: Memory<Counters>,
    /// This client's part of the sum.
    told: Box<Counters>,
}

impl Rest {
    pub fn new(sum: Memory<Counters>) -> Self {
        Rest { sum, told: Box::default() }
    }

    /// Adds this client's new counts.
    pub fn tell(&self, own: &Counters, now: Instant) {
        self.sum.fold(own, &self.told, now);
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::metrics::histogram::Distribution;
    use crate::stats::{history, Fault};

    fn at(secs: u64) -> Instant {
        Instant::from_micros(secs * 1_000_000)
    }

    fn count(own: &Counters, gets: u64, now: Instant) {
        own.look_at(now);
        own.stats.operations.get.add(gets);
        own.stats.errors.timeout.bump();
        (0..gets).for_each(|n| own.latency[0].record_micros(n));
        own.queue_time.record_micros(7);
        own.last_fault.note(Fault::Eof, now);
    }

    #[test]
    fn r46_what_several_tell_adds_up_and_nothing_is_told_twice() {
        let sum = Memory::<Counters>::default();
        let (one, two) = (Counters::default(), Counters::default());
        let rests = [Rest::new(sum.clone()), Rest::new(sum.clone())];
        count(&one, 5, at(100));
        rests[0].tell(&one, at(101));
        rests[0].tell(&one, at(102));
        count(&two, 3, at(103));
        count(&one, 4, at(104));
        rests[1].tell(&two, at(105));
        rests[0].tell(&one, at(106));
        let stats = sum.read();
        assert_eq!((stats.operations.get, stats.errors.timeout), (12, 3));
        let mut gets = Distribution::default();
        gets.add(&sum.latency[0]);
        assert_eq!((gets.count(), gets.sum(), gets.max()), (12, 10 + 3 + 6, 4));
        let mut queued = Distribution::default();
        queued.add(&sum.queue_time);
        assert_eq!((queued.count(), queued.sum()), (3, 21));
        assert_eq!(sum.last_fault.get(), Some((Fault::Eof, at(104))));
        let spans: Vec<_> = history([&*sum].into_iter(), at(107)).map(|(_, span)| span.operations()).collect();
        assert_eq!(spans.last(), Some(&12), "in the span in which it was told");
    }

    #[test]
    fn many_tell_at_once() {
        let sum = Memory::<Counters>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let rest = Rest::new(sum.clone());
                scope.spawn(move || {
                    let own = Counters::default();
                    for n in 0..500 {
                        own.stats.hits.bump();
                        rest.tell(&own, at(n));
                    }
                });
            }
        });
        assert_eq!(sum.read().hits, 2_000);
    }
}
