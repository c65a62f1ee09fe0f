//! The end of an operation.

use super::call::{Call, Owner, Stage, Task};
use super::state::Client;
use super::wait::Wait;
use crate::id::{CallId, ServerId};
use crate::operation::error::Error;
use crate::operation::reply::{Answer, Outcome, Part};
use crate::operation::request::Verb;
use crate::operation::work::Work;
use crate::time::Instant;

/// An operation that ended.
#[derive(Debug)]
pub struct Completion<T> {
    /// Its id, which is no longer valid.
    pub call: CallId,
    /// The value that was submitted with it.
    pub context: T,
    /// The server that it went to last. A batch has none.
    pub server: ServerId,
    /// Its result.
    pub answer: Answer,
    /// Whether a stand-in was asked, because the key's own server was down. A stand-in does not have the items of that
    /// server, so a miss says nothing about the item. Its versions are not those of that server either.
    pub stand_in: bool,
}

impl<T> Client<T> {
    /// The next completed operation.
    pub fn poll_completion(&mut self) -> Option<Completion<T>> {
        loop {
            let id = self.completions.pop_front()?;
            let Some(call) = self.calls.remove(id) else { continue };
            let stand_in = call.is_moved();
            let Call { owner, key, task, server, .. } = call;
            self.release_gathered(&task);
            self.recycle(key);
            let Owner::Caller(context) = owner else { continue };
            let Task::Answer(answer) = task else { continue };
            return Some(Completion { call: id, context, server, answer, stand_in });
        }
    }

    /// An operation has its answer. It ends, unless it has another step or waits for an item.
    pub(super) fn complete(&mut self, id: CallId, answer: Answer, now: Instant) {
        // A count of a missing item may continue, and so may the store that follows it.
        let may_go_on = matches!(answer, Ok(Outcome::Miss | Outcome::NotStored | Outcome::Done));
        let answer = if may_go_on { self.after_step(id, answer, now) } else { Some(answer) };
        let Some(answer) = answer else { return };
        // Only the answer to a lease get can be a reason to wait.
        let of_lease = matches!(answer, Ok(Outcome::Lease(_)) | Err(_));
        let wait = if of_lease { self.waits_on(id, &answer, now) } else { Wait::Ends };
        match wait {
            Wait::Ends => self.finish(id, answer, now),
            Wait::On => {}
            Wait::Full => {
                if let Some(server) = self.calls.get(id).and_then(|call| self.servers.get(call.server)) {
                    server.queue_full();
                }
                self.finish(id, Err(Error::Busy), now);
            }
        }
    }

    /// Ends an operation, and those that share its exchange.
    pub(super) fn finish(&mut self, id: CallId, answer: Answer, now: Instant) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.stage = Stage::Done;
        let internal = matches!(call.owner, Owner::Internal);
        // Its server may have gone, and what is at its place does not count it.
        if !internal {
            self.modules.ended(call.module, answer.is_err());
        }
        let (load, hold) = (call.take_load(), call.hold.take());
        if let Some(server) = self.servers.get_mut(call.server) {
            server.release_backlog(load);
            server.release(hold);
            if !internal {
                server.completed(&answer, call.work(), call.since, now);
            }
        }
        let stored =
            matches!(call.task, Task::Work(Work::Keyed(Verb::Store { .. }))) && matches!(answer, Ok(Outcome::Done));
        let group = call.group.take();
        if stored {
            self.stored(id, now);
        }
        if let Some(group) = group {
            self.finish_group(id, group, &answer, now);
        }
        self.answer(id, answer);
    }

    /// Passes an answer to the operation's owner.
    pub(super) fn answer(&mut self, id: CallId, answer: Answer) {
        match self.calls.get_mut(id) {
            Some(call) if matches!(call.owner, Owner::Caller(_)) => {
                call.stage = Stage::Done;
                call.task = Task::Answer(answer);
                self.completions.push_back(id);
            }
            _ => self.pass_on(id, answer),
        }
    }

    /// The same for a part of a batch, or an internal operation.
    fn pass_on(&mut self, id: CallId, answer: Answer) {
        let Some(call) = self.calls.remove(id) else { return };
        let stand_in = call.is_moved();
        self.recycle(call.key);
        match call.owner {
            Owner::Batch(whole, index) => {
                let dropped = !self.gather(whole, index, Part { answer, stand_in });
                if let Some(server) = self.servers.get_mut(call.server).filter(|_| dropped) {
                    server.answer_dropped();
                }
            }
            Owner::Internal => self.internal = self.internal.saturating_sub(1),
            Owner::Caller(_) => {}
        }
    }
}
