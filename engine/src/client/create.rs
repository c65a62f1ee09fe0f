//! Counters with an initial value, on servers without a command for them.
//!
//! Such a count misses if there is no counter. Then the counter is added. If another client has added it meanwhile, the
//! count is repeated, and so on until the deadline. These are several steps: other operations on the key may be carried
//! out before the counter is created, and a count that ends with an error in between may have created it.

use super::call::{Stage, Task};
use super::state::Client;
use crate::id::CallId;
use crate::operation::error::Error;
use crate::operation::reply::{Answer, Outcome};
use crate::operation::request::Verb;
use crate::operation::work::Work;
use crate::time::Instant;

impl<T> Client<T> {
    /// Continues a count with an initial value after a step. Returns the operation's answer; `None`: the next step is
    /// under way.
    #[inline(never)]
    pub(super) fn after_step(&mut self, id: CallId, answer: Answer, now: Instant) -> Option<Answer> {
        let Some(call) = self.calls.get_mut(id) else { return Some(answer) };
        let Task::Work(work) = &call.task else { return Some(answer) };
        let by_steps = || self.servers.get(call.server).is_some_and(|server| !server.makes_counters());
        let next = match (work, &answer) {
            (&Work::Keyed(Verb::Count { direction, delta, initial: Some((value, ttl)), .. }), Ok(Outcome::Miss))
                if by_steps() =>
            {
                Work::Create { direction, delta, value, ttl }
            }
            (&Work::Create { direction, delta, value, ttl }, Ok(Outcome::NotStored)) => {
                Work::Keyed(Verb::Count { direction, delta, initial: Some((value, ttl)), cas: 0 })
            }
            (Work::Create { value, .. }, Ok(Outcome::Done)) => return Some(Ok(Outcome::Number(*value))),
            _ => return Some(answer),
        };
        call.task = Task::Work(next);
        if self.servers.member(call.server).is_none() {
            self.count_elsewhere(id, now);
            return None;
        }
        let (server, hold) = (call.server, call.hold.take());
        let Some(known) = self.servers.get_mut(server) else { return Some(Err(Error::NoSuchServer)) };
        known.release(hold);
        if !known.sends() {
            return Some(Err(Error::ServerDown));
        }
        call.stage = Stage::Queued;
        self.dispatch(id, server, now);
        None
    }

    /// The server has left the list between two steps, and no step has done anything: the count begins anew elsewhere.
    fn count_elsewhere(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get_mut(id) else { return };
        if let Task::Work(Work::Create { direction, delta, value, ttl }) = call.task {
            let count = Verb::Count { direction, delta, initial: Some((value, ttl)), cas: 0 };
            call.task = Task::Work(Work::Keyed(count));
        }
        self.route_anew(id, now);
    }
}
