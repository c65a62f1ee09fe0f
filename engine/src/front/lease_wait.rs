//! Lease gets that wait while another client makes the item. At most `memcache_queue` wait; others get
//! [`Busy`](crate::Error::Busy).
//!
//! One of those that wait for a key asks the server again, at growing intervals, and all get its answer. After a store
//! of the key by this client, it asks at once, so that others in the winner's own worker wait no longer than one
//! exchange.

use std::collections::{HashMap, TryReserveError, VecDeque};
use std::time::Duration;

use crate::id::CallId;
use crate::route::subset::Subset;

/// The pause before the first repeated request. It doubles each time.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// It doubles this many times at most.
const MAX_DOUBLINGS: u32 = 4;

/// A key, within a subset of the servers.
pub(crate) type Awaited = (Subset, Vec<u8>);

/// All lease gets that wait.
#[derive(Debug, Default)]
pub(crate) struct LeaseWaits {
    keys: HashMap<Awaited, Waiters>,
    /// Invariant: the number of those that wait, for all keys.
    count: usize,
}

/// The lease gets that wait for one key.
#[derive(Debug, Default)]
struct Waiters {
    /// The first one asks, and has not ended. Others may have ended.
    calls: VecDeque<CallId>,
    /// The number of those that have not ended.
    live: usize,
    /// The number of repeated requests.
    asked: u32,
}

/// Too many lease gets wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl LeaseWaits {
    /// The number of those that wait.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of those that are so.
    pub fn of(&self, is_so: impl Fn(CallId) -> bool) -> usize {
        self.keys.values().flat_map(|waiters| &waiters.calls).filter(|&&call| is_so(call)).count()
    }

    /// Whether this one waits already, and asks for the others.
    pub fn asks(&self, call: CallId, key: &Awaited) -> bool {
        self.keys.get(key).is_some_and(|waiters| waiters.calls.front() == Some(&call))
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Reserves memory for one more key.
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        self.keys.try_reserve(1)
    }

    /// A lease get begins to wait, or continues; at most `most` do. Returns the pause after which it asks, if it is the
    /// one that asks.
    pub fn enqueue(&mut self, call: CallId, key: Awaited, most: usize) -> Result<Option<Duration>, Full> {
        let full = self.count >= most;
        let waiters = match self.keys.get_mut(&key) {
            Some(waiters) => waiters,
            None if full => return Err(Full),
            None => self.keys.entry(key).or_default(),
        };
        // One that has asked for the others is still the first.
        if waiters.calls.front() != Some(&call) {
            if full || waiters.calls.try_reserve(1).is_err() {
                return Err(Full);
            }
            waiters.calls.push_back(call);
            waiters.live = waiters.live.saturating_add(1);
            self.count = self.count.saturating_add(1);
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << waiters.asked.min(MAX_DOUBLINGS));
        Ok((waiters.calls.front() == Some(&call)).then_some(pause))
    }

    /// Takes all that wait for a key. Some may have ended.
    pub fn take(&mut self, key: &Awaited) -> impl Iterator<Item = CallId> {
        let waiters = self.keys.remove(key).unwrap_or_default();
        self.count = self.count.saturating_sub(waiters.live);
        waiters.calls.into_iter()
    }

    /// A lease get ended. `waited`: it waited for the key. `waits`: whether another one still does. Returns the one
    /// that asks from now on, if that changes.
    pub fn remove(
        &mut self,
        call: CallId,
        waited: bool,
        key: &Awaited,
        waits: impl Fn(CallId) -> bool,
    ) -> Option<CallId> {
        let waiters = self.keys.get_mut(key)?;
        let asks = waiters.calls.front() == Some(&call);
        if !asks && !waited {
            return None;
        }
        waiters.live = waiters.live.saturating_sub(1);
        self.count = self.count.saturating_sub(1);
        if asks {
            waiters.calls.pop_front();
            while waiters.calls.front().is_some_and(|&next| !waits(next)) {
                waiters.calls.pop_front();
            }
        } else if waiters.calls.len() > waiters.live.saturating_mul(2).saturating_add(64) {
            // A search for each one that ends would cost too much.
            let first = waiters.calls.front().copied();
            waiters.calls.retain(|&other| Some(other) == first || (other != call && waits(other)));
        }
        let next = waiters.calls.front().copied();
        match next {
            None => drop(self.keys.remove(key)),
            Some(_) if asks => waiters.asked = 0,
            Some(_) => {}
        }
        next.filter(|_| asks)
    }

    /// Counts a repeated request for the key.
    pub fn count_asked(&mut self, key: &Awaited) {
        if let Some(waiters) = self.keys.get_mut(key) {
            waiters.asked = waiters.asked.saturating_add(1);
        }
    }

    /// The one that asks for a key.
    pub fn first(&self, key: &Awaited) -> Option<CallId> {
        self.keys.get(key)?.calls.front().copied()
    }

    /// The number of keys that lease gets wait for.
    #[cfg(test)]
    pub fn keys(&self) -> usize {
        self.keys.len()
    }
}
