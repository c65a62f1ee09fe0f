//! The history of the last minutes: the counts of each [`SPAN`].
//!
//! There is no timer, so that an idle client sleeps. The first operation of a new span closes the one before it. Spans
//! without operations are missing, and count as zero.

use std::sync::atomic::{fence, Ordering};
use std::time::Duration;

use super::counter::Counter;
use crate::time::Instant;

/// The length of a span.
pub const SPAN: Duration = Duration::from_secs(10);
/// The number of spans that are kept: ten minutes.
pub const SPANS: usize = 60;

/// Buckets of durations: below 16 µs, then one for each power of two.
pub(crate) const OCTAVES: usize = 21;
/// Numbers of 32 bits in a span, two in each word: operations, hits, misses, errors, and the buckets of durations.
pub(crate) const NUMBERS: usize = 4 + OCTAVES;
const WORDS: usize = NUMBERS.div_ceil(2);

/// All totals at a moment.
pub(crate) type Numbers = [u64; NUMBERS];

/// The spans of a client for one server. Zeros are an empty history.
#[derive(Debug)]
#[repr(C)]
pub struct History {
    /// The number of the open span, counted from the origin of time, and the totals at its start.
    open: Counter,
    base: [Counter; NUMBERS],
    spans: [Span; SPANS],
}

#[derive(Debug)]
#[repr(C)]
struct Span {
    /// The number plus one, so that 0 is none.
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

/// The counts of a span, which may be the open one.
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

impl History {
    /// Whether `now` is in another span than the one that is open.
    #[inline]
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= start_of(self.open.get().saturating_add(1))
    }

    /// Closes the span that is open and begins the one that `now` is in.
    #[cold]
    pub(crate) fn roll(&self, totals: Numbers, now: Instant) {
        if let Some(span) = self.slot(self.open.get()) {
            let sample = self.since_base(&totals);
            // A concurrent reader sees no span, rather than half of each.
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

    /// The counts of the span with this number; `totals` is called if it is open.
    pub(crate) fn read(&self, totals: impl FnOnce() -> Numbers, number: u64) -> Sample {
        let mut sample = Sample::default();
        if self.open.get() == number {
            return self.since_base(&totals());
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

/// The last spans, the oldest first and the one that `now` is in last: their numbers, and when each began.
pub(crate) fn spans(now: Instant) -> impl Iterator<Item = (u64, Instant)> {
    let last = span_of(now);
    let first = last.saturating_add(1).saturating_sub(SPANS as u64).max(1);
    (first..=last).map(|number| (number, start_of(number)))
}

impl Sample {
    /// Adds another one.
    pub(crate) fn add(&mut self, other: &Sample) {
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

    /// The duration, in microseconds, that so many thousandths of the operations did not exceed; 0 if there were none. The
    /// buckets are powers of two. Durations are assumed to be uniform within a bucket, which is enough for a picture.
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
