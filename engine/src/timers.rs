//! Timers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, TryReserveError, VecDeque};

use crate::time::Instant;

/// Up to this many entries are not swept.
const SWEEP_FLOOR: usize = 256;

/// A queue of moments.
///
/// Nearly all entries are deadlines of operations with the same timeout, so they are added in the order in which they are
/// due. A plain queue holds these, at nearly no cost. A heap holds all others, including those that are due much later: in
/// the queue, all later entries would be out of order behind them. Entries that are no longer needed are not removed. They
/// are dropped at the front, if `live` says so.
#[derive(Debug)]
pub(crate) struct Timers<K: Ord> {
    ordered: VecDeque<(Instant, K)>,
    heap: BinaryHeap<Reverse<(Instant, K)>>,
    /// How many entries the last sweep left.
    swept: usize,
}

impl<K: Ord + Copy> Timers<K> {
    pub fn new() -> Self {
        Timers { ordered: VecDeque::new(), heap: BinaryHeap::new(), swept: 0 }
    }

    /// Reserves memory for the next entry.
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        self.ordered.try_reserve(1)?;
        self.heap.try_reserve(1)
    }

    pub fn insert(&mut self, at: Instant, key: K) {
        self.heap.push(Reverse((at, key)));
    }

    /// Adds an entry that is probably due after all others of the queue.
    pub fn insert_last(&mut self, at: Instant, key: K) {
        match self.ordered.back() {
            Some(&(last, _)) if at < last => self.insert(at, key),
            _ => self.ordered.push_back((at, key)),
        }
    }

    /// The first live entry.
    pub fn next(&mut self, live: impl Fn(&K) -> bool) -> Option<Instant> {
        while self.ordered.front().is_some_and(|(_, key)| !live(key)) {
            self.ordered.pop_front();
        }
        while self.heap.peek().is_some_and(|Reverse((_, key))| !live(key)) {
            self.heap.pop();
        }
        let ordered = self.ordered.front().map(|&(at, _)| at);
        let heap = self.heap.peek().map(|&Reverse((at, _))| at);
        [ordered, heap].into_iter().flatten().min()
    }

    /// Removes an entry that is due, live or not.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.ordered.front().is_some_and(|&(at, _)| at <= now) {
            return self.ordered.pop_front().map(|(_, key)| key);
        }
        if self.heap.peek().is_some_and(|&Reverse((at, _))| at <= now) {
            return self.heap.pop().map(|Reverse((_, key))| key);
        }
        None
    }

    /// Drops dead entries, when there are twice as many entries as after the last time.
    pub fn sweep(&mut self, live: impl Fn(&K) -> bool) {
        if self.len() <= self.swept.saturating_mul(2).saturating_add(SWEEP_FLOOR) {
            return;
        }
        self.ordered.retain(|(_, key)| live(key));
        self.heap.retain(|Reverse((_, key))| live(key));
        self.swept = self.len();
    }

    fn len(&self) -> usize {
        self.ordered.len().saturating_add(self.heap.len())
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a sorted list.
        #[test]
        fn pops_what_is_due_in_order(entries in proptest::collection::vec((0u64..50, any::<bool>()), 0..60), now in 0u64..60) {
            let times: Vec<u64> = entries.iter().map(|&(at, _)| at).collect();
            let mut timers = Timers::new();
            for (key, &(at, last)) in entries.iter().enumerate() {
                match last {
                    true => timers.insert_last(Instant::from_micros(at), key),
                    false => timers.insert(Instant::from_micros(at), key),
                }
            }
            prop_assert_eq!(timers.next(|_| true), times.iter().min().copied().map(Instant::from_micros));
            let mut due = Vec::new();
            while let Some(key) = timers.pop_due(Instant::from_micros(now)) {
                due.push(key);
            }
            let mut expected: Vec<usize> = (0..times.len()).filter(|&k| times.get(k).is_some_and(|&t| t <= now)).collect();
            due.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(due, expected);
        }
    }

    #[test]
    fn the_dead_are_passed_over_and_swept() {
        let mut timers = Timers::new();
        for key in 0..10_000u64 {
            timers.insert_last(Instant::from_micros(key), key);
        }
        assert_eq!(timers.next(|&key| key >= 5), Some(Instant::from_micros(5)));
        timers.sweep(|&key| key == 9_999);
        assert_eq!(timers.len(), 1);
        timers.insert_last(Instant::from_micros(1), 1);
        assert_eq!(timers.next(|_| true), Some(Instant::from_micros(1)), "from the heap");
    }

    #[test]
    fn what_is_due_late_does_not_send_the_others_to_the_heap() {
        let mut timers = Timers::new();
        timers.insert(Instant::from_micros(1_000_000), 0);
        for key in 1..100u64 {
            timers.insert_last(Instant::from_micros(key), key);
        }
        assert_eq!((timers.ordered.len(), timers.heap.len()), (99, 1));
    }
}
