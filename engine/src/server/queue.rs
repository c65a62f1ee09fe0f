//! Operations that wait for a connection to a server.
//!
//! Each module has a line of its own, in the order of arrival, and the lines are served by turns: so nobody waits for all
//! that another module has submitted. An operation on a key with a write in another module's line joins that line, since no
//! operation passes a write of its key. Operations of lost connections have waited longest, and come first.

use std::collections::{HashMap, TryReserveError, VecDeque};

use super::pending_writes::{hash, Hold};
use crate::id::CallId;
use crate::limits::MAX_MODULES;
use crate::operation::key::Key;
use crate::operation::module::ModuleId;

/// A line, which is that of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line(ModuleId);

/// Some lines.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines(u32);

const _: () = assert!(MAX_MODULES < 32, "a bit for each");

impl Lines {
    pub fn add(&mut self, line: Line) {
        self.0 |= 1_u32.wrapping_shl(line.0.index() as u32);
    }

    fn has(self, index: usize) -> bool {
        self.0 & 1_u32.wrapping_shl(index as u32) != 0
    }
}

/// The queue of a server. An operation that gives up is only counted. Its id stays, and is skipped later, which saves a
/// search.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Operations of lost connections.
    first: VecDeque<CallId>,
    /// By module.
    lines: Vec<VecDeque<CallId>>,
    /// The line whose turn it is.
    turn: usize,
    /// The line of the next operation; `None`: that is one of `first`.
    next: Option<usize>,
    /// Invariant: the number of operations that still wait.
    waiting: usize,
    /// The same by module.
    of: [usize; MAX_MODULES + 1],
    /// Writes in a line, by the hash of their key. All with one hash are in one line.
    writes: HashMap<u32, Held>,
}

/// The writes of one key in a line.
#[derive(Debug)]
struct Held {
    line: Line,
    writes: u32,
}

impl Queue {
    /// The number of operations that wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// The number of those of a module.
    pub fn len_of(&self, module: ModuleId) -> usize {
        self.of.get(module.index()).copied().unwrap_or_default()
    }

    /// Whether no operation waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Reserves the memory of the next [`push`](Queue::push).
    pub fn try_reserve(&mut self, module: ModuleId, key: Option<&Key>) -> Result<(), TryReserveError> {
        self.writes.try_reserve(1)?;
        let Line(module) = self.line(module, key);
        self.lines.try_reserve(MAX_MODULES.saturating_add(1).saturating_sub(self.lines.len()))?;
        self.line_mut(module).map_or(Ok(()), |line| line.try_reserve(1))
    }

    /// Adds an operation. `is_write`: the mark of a write is returned, for [`release`](Queue::release). `waits`: whether
    /// one still does.
    pub fn push(
        &mut self,
        call: CallId,
        module: ModuleId,
        key: Option<&Key>,
        is_write: bool,
        waits: impl Fn(CallId) -> bool,
    ) -> Option<Hold> {
        let line = self.line(module, key);
        let waiting = self.count(module);
        if let Some(calls) = self.line_mut(line.0) {
            calls.push_back(call);
            // Ids of operations that gave up must not pile up in a queue that does not move.
            if calls.len() > waiting.saturating_mul(2).saturating_add(64) {
                calls.retain(|&call| waits(call));
            }
        }
        let hash = hash(key.filter(|_| is_write)?);
        let held = self.writes.entry(hash).or_insert(Held { line, writes: 0 });
        held.writes = held.writes.saturating_add(1);
        Some(Hold::Queued(hash))
    }

    /// The line of an operation: that with a write of its key, or else that of its module.
    fn line(&self, module: ModuleId, key: Option<&Key>) -> Line {
        let key = key.filter(|_| !self.writes.is_empty());
        key.and_then(|key| self.writes.get(&hash(key))).map_or(Line(module), |held| held.line)
    }

    fn line_mut(&mut self, module: ModuleId) -> Option<&mut VecDeque<CallId>> {
        let count = module.index().saturating_add(1);
        if self.lines.len() < count {
            self.lines.resize_with(count, VecDeque::new);
        }
        self.lines.get_mut(module.index())
    }

    /// One more waits. Returns how many do.
    fn count(&mut self, module: ModuleId) -> usize {
        self.waiting = self.waiting.saturating_add(1);
        if let Some(of) = self.of.get_mut(module.index()) {
            *of = of.saturating_add(1);
        }
        self.waiting
    }

    /// A write has left its line.
    pub fn release(&mut self, hash: u32) {
        let Some(held) = self.writes.get_mut(&hash) else { return };
        held.writes = held.writes.saturating_sub(1);
        if held.writes == 0 {
            self.writes.remove(&hash);
        }
    }

    /// The number of writes in lines.
    pub fn held(&self) -> usize {
        self.writes.values().map(|held| held.writes as usize).sum()
    }

    /// Adds operations that have waited longer than all others.
    pub fn push_in_front(&mut self, calls: Vec<(CallId, ModuleId)>) {
        for (call, module) in calls.into_iter().rev() {
            self.count(module);
            self.first.push_front(call);
        }
    }

    /// The next operation, and its line unless it comes first. Lines that `passed` has are passed over. `waits`: whether an
    /// operation still does.
    pub fn next(&mut self, passed: Lines, waits: impl Fn(CallId) -> bool) -> Option<(CallId, Option<Line>)> {
        if self.waiting == 0 {
            return None;
        }
        if let Some(call) = front(&mut self.first, &waits) {
            self.next = None;
            return Some((call, None));
        }
        for index in (self.turn..self.lines.len()).chain(0..self.turn) {
            let line = self.lines.get_mut(index).filter(|_| !passed.has(index));
            if let Some(call) = line.and_then(|line| front(line, &waits)) {
                self.next = Some(index);
                return Some((call, Some(Line(ModuleId::from_index(index)))));
            }
        }
        None
    }

    /// Removes the operation that [`next`](Queue::next) has returned, of this module.
    pub fn pop(&mut self, module: ModuleId) {
        match self.next {
            None => drop(self.first.pop_front()),
            Some(index) => {
                if let Some(line) = self.lines.get_mut(index) {
                    line.pop_front();
                }
                self.turn = index.saturating_add(1);
            }
        }
        self.gave_up(module);
    }

    /// An operation of this module gave up, anywhere in the queue.
    pub fn gave_up(&mut self, module: ModuleId) {
        self.waiting = self.waiting.saturating_sub(1);
        if let Some(of) = self.of.get_mut(module.index()) {
            *of = of.saturating_sub(1);
        }
    }

    /// Takes all operations, including those that gave up. Marks of writes stay until they are released.
    pub fn take(&mut self) -> impl Iterator<Item = CallId> {
        self.waiting = 0;
        self.of = Default::default();
        let lines = std::mem::take(&mut self.lines);
        std::mem::take(&mut self.first).into_iter().chain(lines.into_iter().flatten())
    }

    /// All operations, including those that gave up.
    pub fn iter(&self) -> impl Iterator<Item = CallId> + '_ {
        self.first.iter().chain(self.lines.iter().flatten()).copied()
    }

    /// The first operation of each line that still waits; only that of those that come first, if there are any.
    pub fn heads(&self, waits: impl Fn(CallId) -> bool) -> Vec<CallId> {
        let head = |line: &VecDeque<CallId>| line.iter().copied().find(|&call| waits(call));
        head(&self.first).map_or_else(|| self.lines.iter().filter_map(head).collect(), |first| vec![first])
    }
}

/// The first that still waits. Those before are removed.
fn front(line: &mut VecDeque<CallId>, waits: impl Fn(CallId) -> bool) -> Option<CallId> {
    while let Some(&call) = line.front() {
        if waits(call) {
            return Some(call);
        }
        line.pop_front();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::key_rules::KeyRules;

    const ME: ModuleId = ModuleId::UNTAGGED;

    fn call(n: u64) -> CallId {
        CallId::from_u64(1 << 32 | n)
    }

    fn module(n: usize) -> ModuleId {
        ModuleId::from_index(n)
    }

    fn key(name: &str) -> Key {
        KeyRules::default().key(name.as_bytes(), Vec::new()).unwrap()
    }

    fn next(queue: &mut Queue) -> Option<CallId> {
        queue.next(Lines::default(), |_| true).map(|(call, _)| call)
    }

    fn all(queue: &mut Queue, of: impl Fn(CallId) -> ModuleId) -> Vec<CallId> {
        let mut order = Vec::new();
        while let Some(call) = next(queue) {
            queue.pop(of(call));
            order.push(call);
        }
        order
    }

    #[test]
    fn who_gave_up_is_passed_over() {
        let mut queue = Queue::default();
        (0..3).for_each(|n| _ = queue.push(call(n), ME, None, false, |_| true));
        queue.gave_up(ME);
        assert_eq!(queue.next(Lines::default(), |id| id != call(0)).map(|(call, _)| call), Some(call(1)));
        queue.pop(ME);
        queue.push_in_front(vec![(call(7), ME), (call(8), ME)]);
        assert_eq!((queue.len(), next(&mut queue)), (3, Some(call(7))));
        assert_eq!(queue.take().collect::<Vec<_>>(), [7, 8, 2].map(call));
        assert!(queue.is_empty() && next(&mut queue).is_none());
    }

    #[test]
    fn ids_do_not_pile_up() {
        let mut queue = Queue::default();
        for n in 0..10_000 {
            queue.push(call(n), ME, None, false, |id| id == call(n));
            if n < 9_999 {
                queue.gave_up(ME);
            }
        }
        assert!(queue.iter().count() < 100, "{}", queue.iter().count());
        assert_eq!(queue.next(Lines::default(), |id| id == call(9_999)).map(|(call, _)| call), Some(call(9_999)));
    }

    #[test]
    fn modules_are_served_by_turns() {
        let mut queue = Queue::default();
        (0..4).for_each(|n| _ = queue.push(call(n), module(1), None, false, |_| true));
        (10..12).for_each(|n| _ = queue.push(call(n), module(2), None, false, |_| true));
        queue.push_in_front(vec![(call(20), module(1)), (call(21), module(1))]);
        assert_eq!((queue.len(), queue.len_of(module(1)), queue.len_of(module(2))), (8, 6, 2));
        let of = |id: CallId| module(if [call(10), call(11)].contains(&id) { 2 } else { 1 });
        assert_eq!(all(&mut queue, of), [20, 21, 0, 10, 1, 11, 2, 3].map(call));
        assert_eq!((queue.len(), queue.len_of(module(1)), queue.len_of(module(2))), (0, 0, 0));
    }

    #[test]
    fn who_may_not_pass_a_write_joins_its_line() {
        let mut queue = Queue::default();
        queue.push(call(0), module(1), None, false, |_| true);
        let held = queue.push(call(1), module(1), Some(&key("a")), true, |_| true);
        queue.push(call(2), module(2), Some(&key("a")), false, |_| true);
        queue.push(call(3), module(2), Some(&key("b")), false, |_| true);
        assert_eq!((queue.len_of(module(1)), queue.len_of(module(2)), queue.held()), (2, 2, 1));
        let of = |id: CallId| module(if [call(0), call(1)].contains(&id) { 1 } else { 2 });
        assert_eq!(all(&mut queue, of), [0, 3, 1, 2].map(call));
        assert_eq!(queue.len_of(module(2)), 0);
        let Some(Hold::Queued(hash)) = held else { panic!("a write has a mark") };
        queue.release(hash);
        assert_eq!(queue.held(), 0);
        queue.push(call(4), module(1), None, false, |_| true);
        queue.push(call(5), module(2), Some(&key("a")), false, |_| true);
        assert_eq!(queue.heads(|_| true).len(), 2, "the write has gone");
    }

    #[test]
    fn a_line_is_passed_over_and_keeps_its_turn() {
        let mut queue = Queue::default();
        (0..2).for_each(|n| _ = queue.push(call(n), module(1), None, false, |_| true));
        queue.push(call(9), module(2), None, false, |_| true);
        let Some((first, Some(line))) = queue.next(Lines::default(), |_| true) else { panic!("it waits") };
        let mut passed = Lines::default();
        passed.add(line);
        assert_eq!((first, queue.next(passed, |_| true).map(|(call, _)| call)), (call(0), Some(call(9))));
        queue.pop(module(2));
        assert!(queue.next(passed, |_| true).is_none());
        assert_eq!(next(&mut queue), Some(call(0)));
    }
}
