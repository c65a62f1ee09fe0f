//! Histograms of durations, in buckets that grow with the duration.
//!
//! Up to 32 µs each microsecond has its bucket; from there on each power of two has [`STEPS`] of equal width, so that a
//! bucket is never wider than a sixteenth of its durations. A percentile is the middle of its bucket, with an error of at
//! most 1/33.

use super::counter::Counter;
use crate::time::Instant;

/// Buckets in each power of two.
pub const STEPS: usize = 16;
/// Durations from here on share the last bucket, in microseconds: 16.8 seconds. The longest one is known exactly.
pub const BOUND: u64 = 1 << 24;
/// All buckets.
pub const BUCKETS: usize = STEPS * 21;

const STEP_BITS: u32 = STEPS.ilog2();

/// The bucket of a duration.
fn bucket(micros: u64) -> usize {
    let micros = micros.min(BOUND - 1);
    // The first two powers of two that have STEPS values or more have a width of 1.
    let shift = (63 - STEP_BITS).saturating_sub((micros | STEPS as u64).leading_zeros());
    ((shift << STEP_BITS) as usize).wrapping_add((micros >> shift) as usize)
}

/// The least and the greatest duration of a bucket, in microseconds.
fn range(bucket: usize) -> (u64, u64) {
    let shift = (bucket >> STEP_BITS).saturating_sub(1);
    let low = (bucket.wrapping_sub(shift << STEP_BITS) as u64) << shift;
    (low, low | !(u64::MAX << shift))
}

/// A histogram that is being counted. Zeros are an empty one.
#[derive(Debug)]
#[repr(C)]
pub struct Histogram {
    buckets: [Counter; BUCKETS],
    sum: Counter,
    max: Counter,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: [const { Counter::new() }; BUCKETS], sum: Counter::new(), max: Counter::new() }
    }
}

impl Histogram {
    /// Counts the time from one moment to another.
    #[inline]
    pub(crate) fn record(&self, from: Instant, to: Instant) {
        self.record_micros(to.as_micros().saturating_sub(from.as_micros()));
    }

    #[inline]
    pub(crate) fn record_micros(&self, micros: u64) {
        if let Some(bucket) = self.buckets.get(bucket(micros)) {
            bucket.bump();
        }
        self.sum.add(micros);
        self.max.raise(micros);
    }

    /// The number of durations in a power of two; the first one has all below 16 µs.
    pub(crate) fn octave(&self, octave: usize) -> u64 {
        let buckets = self.buckets.chunks(STEPS).nth(octave).unwrap_or_default();
        buckets.iter().map(Counter::get).fold(0, u64::wrapping_add)
    }

    pub(crate) fn fold(&self, own: &Histogram, told: &Histogram) {
        self.buckets.iter().zip(&own.buckets).zip(&told.buckets).for_each(|((all, own), told)| all.fold(own, told));
        self.sum.fold(&own.sum, &told.sum);
        self.max.fold_largest(&own.max);
    }
}

/// The sum of one or several histograms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    buckets: Vec<u64>,
    count: u64,
    sum: u64,
    max: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Distribution { buckets: vec![0; BUCKETS], count: 0, sum: 0, max: 0 }
    }
}

impl Distribution {
    /// Adds a histogram.
    pub fn add(&mut self, histogram: &Histogram) {
        for (bucket, more) in self.buckets.iter_mut().zip(&histogram.buckets) {
            let more = more.get();
            *bucket = bucket.wrapping_add(more);
            self.count = self.count.wrapping_add(more);
        }
        self.sum = self.sum.wrapping_add(histogram.sum.get());
        self.max = self.max.max(histogram.max.get());
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Distribution) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket = bucket.wrapping_add(*more);
        }
        self.count = self.count.wrapping_add(other.count);
        self.sum = self.sum.wrapping_add(other.sum);
        self.max = self.max.max(other.max);
    }

    /// The number of durations.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their sum, in microseconds.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The longest, in microseconds: exact.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The duration, in microseconds, that so many thousandths do not exceed; 0 if there are none. The error is at most 1/33, up
    /// to [`BOUND`].
    pub fn permille(&self, part: u32) -> u64 {
        let rank = u128::from(self.count).saturating_mul(part.into()).div_ceil(1000).max(1);
        let mut seen = 0u128;
        for (at, &count) in self.buckets.iter().enumerate() {
            seen = seen.saturating_add(count.into());
            if seen >= rank {
                let (low, high) = range(at);
                // The last bucket has no end.
                let middle = if at == BUCKETS - 1 { self.max } else { low.midpoint(high) };
                return middle.min(self.max);
            }
        }
        0
    }

    /// The buckets that are not empty: the longest duration of each in microseconds, and how many are in it.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let filled = self.buckets.iter().enumerate().filter(|(_, &count)| count > 0);
        filled.map(|(at, &count)| (if at == BUCKETS - 1 { self.max } else { range(at).1 }, count))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_are_gapless_and_narrow() {
        let mut next = 0;
        for at in 0..BUCKETS {
            let (low, high) = range(at);
            assert_eq!(low, next, "bucket {at}");
            assert_eq!((bucket(low), bucket(high)), (at, at));
            assert!((high - low) * 16 <= low, "bucket {at}: {low}..={high}");
            next = high + 1;
        }
        assert_eq!(next, BOUND);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    fn distribution(micros: &[u64]) -> Distribution {
        let histogram = Histogram::default();
        micros.iter().for_each(|&micros| histogram.record_micros(micros));
        let mut distribution = Distribution::default();
        distribution.add(&histogram);
        distribution
    }

    #[test]
    fn nothing_and_too_much() {
        assert_eq!(distribution(&[]).permille(500), 0);
        let long = distribution(&[BOUND * 5, 7]);
        assert_eq!((long.permille(500), long.permille(501), long.max()), (7, BOUND * 5, BOUND * 5));
        assert_eq!(long.buckets().collect::<Vec<_>>(), [(7, 1), (BOUND * 5, 1)]);
        assert_eq!(distribution(&[3; 9]).permille(1000), 3);
    }

    /// Durations of all magnitudes.
    fn durations() -> impl Strategy<Value = Vec<u64>> {
        let duration = (0u32..24).prop_flat_map(|bits| (1u64 << bits) / 2..1u64 << bits);
        proptest::collection::vec(duration, 1..200)
    }

    proptest! {
        /// Against the sorted list: no percentile is off by more than a twentieth.
        #[test]
        fn percentiles_are_off_by_five_percent_at_most(mut micros in durations(), part in 1u32..=1000) {
            let rough = distribution(&micros);
            micros.sort_unstable();
            let rank = (micros.len() * part as usize).div_ceil(1000);
            let exact = micros[rank.max(1) - 1];
            let off = rough.permille(part).abs_diff(exact);
            prop_assert!(off * 20 <= exact, "{} for {exact}", rough.permille(part));
            prop_assert_eq!(rough.max(), micros[micros.len() - 1]);
            prop_assert_eq!(rough.sum(), micros.iter().sum::<u64>());
            prop_assert_eq!(rough.count(), micros.len() as u64);
            prop_assert_eq!(rough.buckets().map(|(_, count)| count).sum::<u64>(), rough.count());
        }

        #[test]
        fn parts_add_up(one in durations(), two in durations()) {
            let mut both = distribution(&one);
            both.merge(&distribution(&two));
            prop_assert_eq!(both, distribution(&[one, two].concat()));
        }
    }
}
