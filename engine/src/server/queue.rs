//! Operations that wait for a connection to a server, in the order of their arrival.

use std::collections::{TryReserveError, VecDeque};

use crate::id::CallId;

/// The queue of a server. An operation that gives up is only counted. Its id stays, and is skipped later, which saves a
/// search.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    calls: VecDeque<CallId>,
    /// Invariant: the number of these that still wait.
    waiting: usize,
}

impl Queue {
    /// The number of operations that wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether no operation waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Reserves the memory of the next [`push`](Queue::push).
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        self.calls.try_reserve(1)
    }

    /// Adds an operation. `waits`: whether one still does.
    pub fn push(&mut self, call: CallId, waits: impl Fn(CallId) -> bool) {
        self.calls.push_back(call);
        self.waiting = self.waiting.saturating_add(1);
        // Ids of operations that gave up must not pile up in a queue that does not move.
        if self.calls.len() > self.waiting.saturating_mul(2).saturating_add(64) {
            self.calls.retain(|&call| waits(call));
        }
    }

    /// Adds operations that have waited longer than all others.
    pub fn push_in_front(&mut self, calls: Vec<CallId>) {
        self.waiting = self.waiting.saturating_add(calls.len());
        calls.into_iter().rev().for_each(|call| self.calls.push_front(call));
    }

    /// The next operation. `waits`: whether one still does.
    pub fn next(&mut self, waits: impl Fn(CallId) -> bool) -> Option<CallId> {
        while self.waiting > 0 {
            let &call = self.calls.front()?;
            if waits(call) {
                return Some(call);
            }
            self.calls.pop_front();
        }
        None
    }

    /// Removes the next operation.
    pub fn pop(&mut self) {
        self.calls.pop_front();
        self.gave_up(1);
    }

    /// `count` operations gave up, anywhere in the queue.
    pub fn gave_up(&mut self, count: usize) {
        self.waiting = self.waiting.saturating_sub(count);
    }

    /// Takes all operations, including those that gave up.
    pub fn take(&mut self) -> impl Iterator<Item = CallId> {
        std::mem::take(self).calls.into_iter()
    }

    /// All operations, including those that gave up.
    pub fn iter(&self) -> impl Iterator<Item = CallId> + '_ {
        self.calls.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(n: u64) -> CallId {
        CallId::from_u64(1 << 32 | n)
    }

    #[test]
    fn who_gave_up_is_passed_over() {
        let mut queue = Queue::default();
        (0..3).for_each(|n| queue.push(call(n), |_| true));
        queue.gave_up(1);
        assert_eq!(queue.next(|id| id != call(0)), Some(call(1)));
        queue.pop();
        queue.push_in_front(vec![call(7), call(8)]);
        assert_eq!((queue.len(), queue.next(|_| true)), (3, Some(call(7))));
        assert_eq!(queue.take().collect::<Vec<_>>(), [7, 8, 2].map(call));
        assert!(queue.is_empty() && queue.next(|_| true).is_none());
    }

    #[test]
    fn ids_do_not_pile_up() {
        let mut queue = Queue::default();
        for n in 0..10_000 {
            queue.push(call(n), |id| id == call(n));
            queue.gave_up(usize::from(n < 9_999));
        }
        assert!(queue.iter().count() < 100, "{}", queue.iter().count());
        assert_eq!(queue.next(|id| id == call(9_999)), Some(call(9_999)));
    }
}
