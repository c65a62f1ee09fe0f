//! Lease gets that wait for an item. The rule is in [`lease_wait`](crate::front::lease_wait).

use super::call::Stage;
use super::state::Client;
use crate::front::lease_wait::{Awaited, Full, FIRST_PAUSE};
use crate::id::CallId;
use crate::network::Timer;
use crate::operation::error::Error;
use crate::operation::reply::{Answer, Lease, Outcome};
use crate::server::Server;
use crate::time::Instant;

/// What an answer means for a lease get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It ends with the answer.
    Ends,
    /// It waits, or continues to.
    On,
    /// It would have to wait, and too many do.
    Full,
}

impl<T> Client<T> {
    /// A lease get has an answer.
    pub(super) fn waits_on(&mut self, id: CallId, answer: &Answer, now: Instant) -> Wait {
        let Some(call) = self.calls.get(id) else { return Wait::Ends };
        let Some(key) = call.waits_for() else { return Wait::Ends };
        let waited = call.stage == Stage::Waiting;
        let key = (call.subset, key.raw().to_vec());
        match answer {
            // If its time to wait is over, or memory is short, the caller makes the item itself.
            Ok(Outcome::Lease(Lease::Lost { old: None, .. }))
                if call.deadline > now && self.lease_waits.try_reserve().is_ok() =>
            {
                self.enqueue(id, key, now)
            }
            Ok(Outcome::Lease(Lease::Hit(_) | Lease::Lost { old: Some(_), .. })) => {
                self.serve(&key, id, answer, now);
                Wait::Ends
            }
            _ => {
                self.stop_waiting(id, waited, &key, now);
                Wait::Ends
            }
        }
    }

    fn enqueue(&mut self, id: CallId, key: Awaited, now: Instant) -> Wait {
        if !self.lease_waits.asks(id, &key) && !self.has_share_of_waits(id, now) {
            return Wait::Full;
        }
        let asks = match self.lease_waits.enqueue(id, key, self.config.queue) {
            Ok(asks) => asks,
            Err(Full) => return Wait::Full,
        };
        if let Some(call) = self.calls.get_mut(id) {
            call.stage = Stage::Waiting;
            let hold = call.hold.take();
            if let Some(server) = self.servers.get_mut(call.server) {
                server.release(hold);
            }
        }
        if let Some(pause) = asks {
            // At most a quarter less, so that workers that wait for the same key do not ask all at once.
            let pause = pause.mul_f64(1.0 - self.network.rng.f64() / 4.0);
            self.network.timers.insert(now.after(pause), Timer::Ask(id));
        }
        Wait::On
    }

    /// All lease gets that wait for the key get this answer.
    fn serve(&mut self, key: &Awaited, id: CallId, answer: &Answer, now: Instant) {
        let Some((home, server)) = self.calls.get(id).map(|call| (call.home, call.server)) else { return };
        for other in self.lease_waits.take(key).filter(|&other| other != id) {
            if let Some(call) = self.calls.get_mut(other).filter(|call| call.stage == Stage::Waiting) {
                // It may be another one than they have asked themselves, or a stand-in.
                (call.home, call.server) = (home, server);
                self.finish(other, answer.clone(), now);
            }
        }
    }

    /// A lease get ended. `waited`: it waited for the key until now. If it was the one that asks, the next one does.
    pub(super) fn stop_waiting(&mut self, id: CallId, waited: bool, key: &Awaited, now: Instant) {
        let calls = &self.calls;
        let waits = |id| calls.get(id).is_some_and(|call| call.stage == Stage::Waiting);
        if let Some(next) = self.lease_waits.remove(id, waited, key, waits) {
            self.network.timers.insert(now.after(FIRST_PAUSE), Timer::Ask(next));
        }
    }

    /// Sends a repeated request for a lease get that waits.
    pub(super) fn ask(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get(id).filter(|call| call.stage == Stage::Waiting) else { return };
        let (subset, Some(key)) = (call.subset, &call.key) else { return };
        let Some(home) = self.home(subset, key) else { return };
        let server = self.stand_in(subset, home, key).unwrap_or(home);
        self.lease_waits.count_asked(&(subset, key.raw().to_vec()));
        if !self.servers.get(server).is_some_and(Server::is_live) {
            return self.complete(id, Err(Error::ServerDown), now);
        }
        if let Some(call) = self.calls.get_mut(id) {
            (call.home, call.server) = (home, server);
            call.retried = false;
        }
        self.dispatch(id, server, now);
    }

    /// This operation has stored the key: lease gets that wait for it ask at once.
    pub(super) fn stored(&mut self, id: CallId, now: Instant) {
        if self.lease_waits.is_empty() {
            return;
        }
        let Some((subset, Some(key))) = self.calls.get(id).map(|call| (call.subset, &call.key)) else { return };
        if let Some(first) = self.lease_waits.first(&(subset, key.raw().to_vec())) {
            self.ask(first, now);
        }
    }
}
