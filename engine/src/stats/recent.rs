//! The last minutes of several counters.

use super::counters::Counters;
use crate::metrics::history::{spans, Sample};
use crate::time::Instant;

/// The last spans, the oldest first, the current one last: the start of each, and the sum of its counts over all
/// `counters`.
pub fn history<'a>(
    counters: impl Iterator<Item = &'a Counters> + Clone,
    now: Instant,
) -> impl Iterator<Item = (Instant, Sample)> {
    spans(now).map(move |(number, began)| {
        let mut sample = Sample::default();
        let read = |counters: &Counters| counters.history.read(|| counters.totals(), number);
        counters.clone().for_each(|counters| sample.add(&read(counters)));
        (began, sample)
    })
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
