//! The last minutes: what was counted in each [`SPAN`].
//!
//! Nothing runs by timer. The first operation of a new span closes the one before it, so that an idle client sleeps:
//! spans in which nothing began are not there, and are zero.

use std::sync::atomic::{fence, Ordering};
use std::time::Duration;

use super::{Counter, Counters};
use crate::time::Instant;

/// The length of a span.
pub const SPAN: Duration = Duration::from_secs(10);
/// So many spans are kept: ten minutes.
pub const SPANS: usize = 60;

/// Buckets of durations: below 16 µs, then one for each power of two.
const OCTAVES: usize = 21;
/// Numbers of 32 bits in a span, two in each word: operations, hits, misses, errors, and the buckets of durations.
const NUMBERS: usize = 4 + OCTAVES;
const WORDS: usize = NUMBERS.div_ceil(2);

type Numbers = [u64; NUMBERS];

/// The spans of a client for one server. Zeros are an empty history.
#[derive(Debug)]
#[repr(C)]
pub struct History {
    /// The span that is open, counted from the origin of time, and what all had come to when it began.
    open: Counter,
    base: [Counter; NUMBERS],
    spans: [Span; SPANS],
}

#[derive(Debug)]
#[repr(C)]
struct Span {
    /// Which, and one more, so that 0 is none.
    number: Counter,
    words: [Counter; WORDS],
}

impl Default for History {
    fn default() -> Self {
        History {
            open: Counter::new(),
            base: [const { Counter::new() }; NUMBERS],
            spans: [const { Span { number: Counter::new(), words: [const { Counter::new() }; WORDS] } }; SPANS],
        }
    }
}

/// What happened in a span, or is happening in the one that is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    numbers: Numbers,
}

/// The number of the span that a moment is in, never 0.
fn span_of(now: Instant) -> u64 {
    let span = SPAN.as_micros() as u64;
    now.as_micros().checked_div(span).unwrap_or(0).saturating_add(1)
}

/// When a span begins.
fn start_of(number: u64) -> Instant {
    Instant::from_micros(number.saturating_sub(1).saturating_mul(SPAN.as_micros() as u64))
}

/// What a caller took back, or did wrong, is not a failure of the server.
const OF_THE_CALLER: [&str; 3] = ["cancelled", "client", "too_large"];

fn totals(counters: &Counters) -> Numbers {
    let stats = &counters.stats;
    let mut numbers = [0; NUMBERS];
    let failed = stats.errors.list().filter(|(class, _)| !OF_THE_CALLER.contains(class));
    let errors = failed.map(|(_, count)| count).fold(0, u64::wrapping_add);
    let operations = stats.operations.list().map(|(_, count)| count).fold(0, u64::wrapping_add);
    let head = [operations, stats.hits.get(), stats.misses.get(), errors];
    let octaves = counters.octaves();
    numbers.iter_mut().zip(head.into_iter().chain(octaves)).for_each(|(to, from)| *to = from);
    numbers
}

impl History {
    /// Whether `now` is in another span than the one that is open.
    #[inline]
    pub(super) fn is_over(&self, now: Instant) -> bool {
        now >= start_of(self.open.get().saturating_add(1))
    }

    /// Closes the span that is open and begins the one that `now` is in.
    #[cold]
    pub(super) fn roll(&self, counters: &Counters, now: Instant) {
        let totals = totals(counters);
        if let Some(span) = self.slot(self.open.get()) {
            let sample = self.since_base(&totals);
            // Who reads meanwhile sees that it is none, rather than a half of each.
            span.number.set(0);
            fence(Ordering::Release);
            for (word, pair) in span.words.iter().zip(sample.numbers.chunks(2)) {
                word.set(pair.iter().rev().fold(0, |word, &half| word << 32 | half.min(u32::MAX.into())));
            }
            fence(Ordering::Release);
            span.number.set(self.open.get());
        }
        self.base.iter().zip(totals).for_each(|(base, total)| base.set(total));
        self.open.set(span_of(now));
    }

    fn slot(&self, number: u64) -> Option<&Span> {
        let at = number.checked_rem(SPANS as u64).filter(|_| number > 0)?;
        self.spans.get(at as usize)
    }

    fn since_base(&self, totals: &Numbers) -> Sample {
        let mut sample = Sample::default();
        for ((number, total), base) in sample.numbers.iter_mut().zip(totals).zip(&self.base) {
            *number = total.saturating_sub(base.get());
        }
        sample
    }

    fn read(&self, counters: &Counters, number: u64) -> Sample {
        let mut sample = Sample::default();
        if self.open.get() == number {
            return self.since_base(&totals(counters));
        }
        let Some(span) = self.slot(number).filter(|span| span.number.get() == number) else { return sample };
        fence(Ordering::Acquire);
        for (pair, word) in sample.numbers.chunks_mut(2).zip(&span.words) {
            let word = word.get();
            pair.iter_mut().zip([word & u64::from(u32::MAX), word >> 32]).for_each(|(to, from)| *to = from);
        }
        fence(Ordering::Acquire);
        if span.number.get() == number {
            sample
        } else {
            Sample::default()
        }
    }
}

/// The last spans, the oldest first and the one that `now` is in last: when each began, and the sum over all of
/// `counters` of what happened in it.
pub fn history<'a>(
    counters: impl Iterator<Item = &'a Counters> + Clone,
    now: Instant,
) -> impl Iterator<Item = (Instant, Sample)> {
    let last = span_of(now);
    let first = last.saturating_add(1).saturating_sub(SPANS as u64).max(1);
    (first..=last).map(move |number| {
        let mut sample = Sample::default();
        counters.clone().for_each(|counters| sample.add(&counters.history.read(counters, number)));
        (start_of(number), sample)
    })
}

impl Sample {
    fn add(&mut self, other: &Sample) {
        self.numbers.iter_mut().zip(other.numbers).for_each(|(to, from)| *to = to.saturating_add(from));
    }

    /// Operations that were accepted.
    pub fn operations(&self) -> u64 {
        self.numbers[0]
    }

    /// Gets that found an item.
    pub fn hits(&self) -> u64 {
        self.numbers[1]
    }

    /// Gets that found none.
    pub fn misses(&self) -> u64 {
        self.numbers[2]
    }

    /// Operations that failed.
    pub fn errors(&self) -> u64 {
        self.numbers[3]
    }

    /// So many thousandths of the operations took no longer, in microseconds; 0 if there were none. The buckets are
    /// powers of two, within which the durations are taken to be spread evenly: enough for a picture.
    pub fn permille(&self, part: u32) -> u64 {
        let octaves = self.numbers.get(4..).unwrap_or_default();
        let count = octaves.iter().fold(0, |sum: u64, &count| sum.saturating_add(count));
        let rank = u128::from(count).saturating_mul(part.into()).div_ceil(1000).max(1) as u64;
        let mut seen = 0u64;
        for (at, &count) in octaves.iter().enumerate() {
            let rest = rank.saturating_sub(seen);
            seen = seen.saturating_add(count);
            if seen >= rank {
                let (low, width) = if at == 0 { (0, 16) } else { (8u64 << at, 8u64 << at) };
                let share = u128::from(width).saturating_mul(rest.into()).checked_div(count.into()).unwrap_or(0);
                return low.saturating_add(share as u64);
            }
        }
        0
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::from_micros(secs * 1_000_000)
    }

    /// An operation that takes so long and hits.
    fn hit(counters: &Counters, now: Instant, micros: u64) {
        counters.look_at(now);
        counters.stats.operations.get.bump();
        counters.stats.hits.bump();
        counters.latency[0].record_micros(micros);
    }

    fn hits(counters: &[&Counters], now: Instant) -> Vec<u64> {
        history(counters.iter().copied(), now).map(|(_, sample)| sample.hits()).collect()
    }

    #[test]
    fn spans_begin_when_something_happens() {
        let counters = Counters::default();
        (0..3).for_each(|_| hit(&counters, at(1_000_004), 100));
        assert_eq!(hits(&[&counters], at(1_000_005)).last(), Some(&3), "the open one");
        assert_eq!(hits(&[&counters], at(1_000_012)).split_last(), Some((&0, &[vec![0; 58], vec![3]].concat()[..])));
        hit(&counters, at(1_000_045), 100);
        let all = hits(&[&counters], at(1_000_059));
        assert_eq!(all[54..], [3, 0, 0, 0, 1, 0]);
        let (began, _) = history([&counters].into_iter(), at(1_000_059)).last().unwrap();
        assert_eq!(began, at(1_000_050));
        assert_eq!(hits(&[&counters], at(1_000_700)).iter().sum::<u64>(), 0, "all is long ago");
    }

    #[test]
    fn several_add_up_and_what_was_before_does_not_count() {
        let (one, two) = (Counters::default(), Counters::default());
        hit(&one, at(100), 40);
        hit(&two, at(109), 40);
        hit(&two, at(110), 5_000);
        let all = hits(&[&one, &two], at(115));
        assert_eq!(all[all.len() - 2..], [2, 1]);
        let last = history([&one, &two].into_iter(), at(115)).last().unwrap().1;
        assert_eq!((last.operations(), last.misses(), last.errors()), (1, 0, 0));
        assert!((4_096..=8_192).contains(&last.permille(500)), "{}", last.permille(500));
    }

    #[test]
    fn what_the_caller_did_is_no_error_of_the_server() {
        let counters = Counters::default();
        hit(&counters, at(5), 100);
        counters.stats.errors.cancelled.bump();
        counters.stats.errors.client.bump();
        counters.stats.errors.too_large.bump();
        counters.stats.errors.timeout.bump();
        let errors = |now| history([&counters].into_iter(), now).last().map(|(_, sample)| sample.errors());
        assert_eq!(errors(at(6)), Some(1));
    }

    #[test]
    fn a_ring_goes_round() {
        let counters = Counters::default();
        for span in 0..200 {
            (0..=span).for_each(|_| hit(&counters, at(span * 10), 1 << (span % 23)));
        }
        assert_eq!(hits(&[&counters], at(1_999)), (141..=200).collect::<Vec<_>>());
    }

    #[test]
    fn percentiles_of_a_span() {
        let counters = Counters::default();
        (0..1000).for_each(|n| hit(&counters, at(5), n + 1));
        let (_, sample) = history([&counters].into_iter(), at(6)).last().unwrap();
        for (part, exact) in [(500, 500), (990, 990)] {
            assert!(sample.permille(part).abs_diff(exact) * 10 <= exact, "{} for {exact}", sample.permille(part));
        }
        assert_eq!(Sample::default().permille(500), 0);
    }
}
