//! Lease gets that wait for the item that somebody else makes: at most `memcache_queue` of them, beyond which they are
//! busy.
//!
//! Of all that wait for a key one asks the server again, at growing intervals, and all are answered with what it gets.
//! A store of that key by this client has it ask at once, so that those who wait in the winner's own worker do not wait
//! any longer than the exchange takes.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Client, Place, Subset, Timer};
use crate::id::CallId;
use crate::operation::error::Error;
use crate::operation::reply::{Answer, Lease, Outcome};
use crate::time::Instant;

/// The pause before a key is asked for again for the first time; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// So often at most.
const MAX_DOUBLINGS: u32 = 4;

/// Lease gets that wait for one key of a subset.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The first one asks, and has not ended; of the others some may have.
    calls: VecDeque<CallId>,
    /// How many of them have not.
    live: usize,
    /// How often it was asked.
    asked: u32,
}

/// What an answer means for a lease get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It ends with the answer.
    Ends,
    /// It waits on.
    Waits,
    /// It would have to wait, and too many do.
    Full,
}

impl<T> Client<T> {
    /// A lease get has an answer.
    pub(super) fn waits_on(&mut self, id: CallId, answer: &Answer, now: Instant) -> Verdict {
        let Some(call) = self.calls.get(id) else { return Verdict::Ends };
        let Some(key) = call.waits_for() else { return Verdict::Ends };
        let waited = call.place == Place::Waiting;
        let key = (call.subset, key.raw().to_vec());
        match answer {
            // One whose time is over has to make it itself, or one for whom there is no memory to wait.
            Ok(Outcome::Lease(Lease::Lost { old: None, .. }))
                if call.deadline > now && self.waiting.try_reserve(1).is_ok() =>
            {
                self.enqueue(id, key, now)
            }
            Ok(Outcome::Lease(Lease::Hit(_) | Lease::Lost { old: Some(_), .. })) => {
                self.serve(&key, id, answer, now);
                Verdict::Ends
            }
            _ => {
                self.stop_waiting(id, waited, &key, now);
                Verdict::Ends
            }
        }
    }

    fn enqueue(&mut self, id: CallId, key: (Subset, Vec<u8>), now: Instant) -> Verdict {
        let full = self.waiters >= self.config.queue;
        let waiting = match self.waiting.get_mut(&key) {
            Some(waiting) => waiting,
            None if full => return Verdict::Full,
            None => self.waiting.entry(key).or_default(),
        };
        // One that has asked for all is still the first.
        if waiting.calls.front() != Some(&id) {
            if full || waiting.calls.try_reserve(1).is_err() {
                return Verdict::Full;
            }
            waiting.calls.push_back(id);
            waiting.live = waiting.live.saturating_add(1);
            self.waiters = self.waiters.saturating_add(1);
        }
        let first = waiting.calls.front() == Some(&id);
        let pause = FIRST_PAUSE.saturating_mul(1 << waiting.asked.min(MAX_DOUBLINGS));
        if let Some(call) = self.calls.get_mut(id) {
            call.place = Place::Waiting;
            if let Some((server, hold)) = self.servers.get_mut(call.server).zip(call.hold.take()) {
                server.writes.release(hold);
            }
        }
        if first {
            // A quarter less at most: the workers that wait for the same key do not ask all at once.
            let pause = pause.mul_f64(1.0 - self.rng.f64() / 4.0);
            self.timers.insert(now.after(pause), Timer::Ask(id));
        }
        Verdict::Waits
    }

    /// Everybody who waits for the key gets what one of them got.
    fn serve(&mut self, key: &(Subset, Vec<u8>), id: CallId, answer: &Answer, now: Instant) {
        let Some(waiting) = self.waiting.remove(key) else { return };
        self.waiters = self.waiters.saturating_sub(waiting.live);
        for other in waiting.calls.into_iter().filter(|&other| other != id) {
            if self.calls.get(other).is_some_and(|call| call.place == Place::Waiting) {
                self.finish(other, answer.clone(), now);
            }
        }
    }

    /// One ended that may have waited for the key; `waited`: it did until now. If it was the one that asks, the next one
    /// does.
    pub(super) fn stop_waiting(&mut self, id: CallId, waited: bool, key: &(Subset, Vec<u8>), now: Instant) {
        let Some(waiting) = self.waiting.get_mut(key) else { return };
        let asked = waiting.calls.front() == Some(&id);
        if !asked && !waited {
            return;
        }
        waiting.live = waiting.live.saturating_sub(1);
        self.waiters = self.waiters.saturating_sub(1);
        let calls = &self.calls;
        let waits = |id: &CallId| calls.get(*id).is_some_and(|call| call.place == Place::Waiting);
        if asked {
            waiting.calls.pop_front();
            while waiting.calls.front().is_some_and(|next| !waits(next)) {
                waiting.calls.pop_front();
            }
        } else if waiting.calls.len() > waiting.live.saturating_mul(2).saturating_add(64) {
            // It costs too much to look for each one that ends.
            let first = waiting.calls.front().copied();
            waiting.calls.retain(|other| Some(*other) == first || (*other != id && waits(other)));
        }
        match waiting.calls.front() {
            None => drop(self.waiting.remove(key)),
            Some(&next) if asked => {
                waiting.asked = 0;
                self.timers.insert(now.after(FIRST_PAUSE), Timer::Ask(next));
            }
            Some(_) => {}
        }
    }

    /// Asks again for one that waits.
    pub(super) fn ask(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get(id).filter(|call| call.place == Place::Waiting) else { return };
        let (subset, Some(key)) = (call.subset, &call.key) else { return };
        let Some(home) = self.home(subset, key) else { return };
        let server = self.stand_in(subset, home, key).unwrap_or(home);
        if let Some(waiting) = self.waiting.get_mut(&(subset, key.raw().to_vec())) {
            waiting.asked = waiting.asked.saturating_add(1);
        }
        if !self.servers.get(server).is_some_and(super::Server::is_live) {
            return self.complete(id, Err(Error::ServerDown), now);
        }
        if let Some(call) = self.calls.get_mut(id) {
            call.server = server;
            call.retried = false;
        }
        self.dispatch(id, server, now);
    }

    /// The key was stored by this operation: those who wait for it need not wait longer.
    pub(super) fn stored(&mut self, id: CallId, now: Instant) {
        if self.waiting.is_empty() {
            return;
        }
        let Some((subset, Some(key))) = self.calls.get(id).map(|call| (call.subset, &call.key)) else { return };
        let waiting = self.waiting.get(&(subset, key.raw().to_vec()));
        if let Some(&first) = waiting.and_then(|waiting| waiting.calls.front()) {
            self.ask(first, now);
        }
    }
}
