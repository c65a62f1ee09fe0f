//! Lease gets that wait for the item that somebody else makes: at most `memcache_queue` of them, beyond which they are
//! busy.
//!
//! Of all that wait for a key one asks the server again, at growing intervals, and all are answered with what it gets.
//! A store of that key by this client has it ask at once, so that those who wait in the winner's own worker do not wait
//! any longer than the exchange takes.

use std::collections::{HashMap, TryReserveError, VecDeque};
use std::time::Duration;

use crate::id::CallId;
use crate::route::subset::Subset;

/// The pause before a key is asked for again for the first time; it doubles each time.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// So often at most.
const MAX_DOUBLINGS: u32 = 4;

/// What they wait for: a key, for those who use this subset of servers.
pub(crate) type Awaited = (Subset, Vec<u8>);

/// All that wait.
#[derive(Debug, Default)]
pub(crate) struct LeaseWaits {
    keys: HashMap<Awaited, Waiters>,
    /// Invariant: how many wait, for all keys together.
    count: usize,
}

/// Lease gets that wait for one key.
#[derive(Debug, Default)]
struct Waiters {
    /// The first one asks, and has not ended; of the others some may have.
    calls: VecDeque<CallId>,
    /// How many of them have not.
    live: usize,
    /// How often it was asked.
    asked: u32,
}

/// It would have to wait, and too many do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl LeaseWaits {
    /// How many wait.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Makes sure that one more key needs no more memory.
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        self.keys.try_reserve(1)
    }

    /// A lease get waits, or waits on; at most `most` do. Returns the pause after which it asks, if it is the one that
    /// does.
    pub fn enqueue(&mut self, call: CallId, key: Awaited, most: usize) -> Result<Option<Duration>, Full> {
        let full = self.count >= most;
        let waiters = match self.keys.get_mut(&key) {
            Some(waiters) => waiters,
            None if full => return Err(Full),
            None => self.keys.entry(key).or_default(),
        };
        // One that has asked for all is still the first.
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

    /// Takes all that wait for a key; some may have ended.
    pub fn take(&mut self, key: &Awaited) -> impl Iterator<Item = CallId> {
        let waiters = self.keys.remove(key).unwrap_or_default();
        self.count = self.count.saturating_sub(waiters.live);
        waiters.calls.into_iter()
    }

    /// One ended that may have waited for the key; `waited`: it did until now. `waits` knows of the others. Returns the one
    /// that asks from now on, if that is another.
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
            // It costs too much to look for each one that ends.
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

    /// The server is asked for the key once more.
    pub fn count_asked(&mut self, key: &Awaited) {
        if let Some(waiters) = self.keys.get_mut(key) {
            waiters.asked = waiters.asked.saturating_add(1);
        }
    }

    /// The one that asks for a key.
    pub fn first(&self, key: &Awaited) -> Option<CallId> {
        self.keys.get(key)?.calls.front().copied()
    }

    /// For how many keys somebody waits.
    #[cfg(test)]
    pub fn keys(&self) -> usize {
        self.keys.len()
    }
}
