//! Gets of many keys. The state of a batch is in [`batch`](crate::front::batch).

use std::time::Duration;

use super::call::{Call, NewCall, Owner, Task};
use super::state::Client;
use super::submit::{Asker, Rejected};
use crate::front::batch::{held, Batch};
use crate::id::CallId;
use crate::operation::error::Error;
use crate::operation::reply::{Outcome, Part};
use crate::operation::request::{Ttl, Verb};
use crate::operation::work::Work;
use crate::time::Instant;

impl<T> Client<T> {
    /// Reads many items, and sets their expiry if `touch` says so. The answer is [`Outcome::Many`].
    ///
    /// Keys are asked for in their order, no more of them than [`submit`](Client::submit) would accept. The batch is
    /// refused only if there is no memory for the operation itself.
    pub fn submit_many<'a>(
        &mut self,
        asker: impl Into<Asker>,
        keys: impl IntoIterator<Item = &'a [u8]>,
        touch: Option<Ttl>,
        timeout: Option<Duration>,
        context: T,
        now: Instant,
    ) -> Result<CallId, Rejected<T>> {
        let keys = keys.into_iter();
        let asker = asker.into();
        let (Ok(()), Ok(batch)) = (self.make_room_for_one(), Batch::begin(keys.size_hint().0)) else {
            return Err(Rejected { error: Error::NoMemory, context });
        };
        self.network.writes.count_submitted();
        let whole = self.calls.insert(Call::gathering(context, batch, asker.subset, now));
        for key in keys {
            let Some(index) = self.batch(whole).map(Batch::expect) else { break };
            match self.submit_part(asker, key, Verb::Get { touch }, timeout, Owner::Batch(whole, index), now) {
                Ok(part) => {
                    if let Some(batch) = self.batch(whole) {
                        batch.add(part);
                    }
                }
                Err(error) => {
                    self.modules.refused(asker.module, now);
                    self.gather(whole, index, Part { answer: Err(error), stand_in: false });
                }
            }
        }
        self.count_part(whole);
        Ok(whole)
    }

    fn batch(&mut self, whole: CallId) -> Option<&mut Batch> {
        match &mut self.calls.get_mut(whole)?.task {
            Task::Parts(batch) => Some(batch),
            Task::Work(_) | Task::Answer(_) => None,
        }
    }

    /// One answer of the batch is not missing any more.
    fn count_part(&mut self, whole: CallId) {
        if self.batch(whole).is_some_and(Batch::count) {
            self.complete_batch(whole);
        }
    }

    fn submit_part(
        &mut self,
        asker: Asker,
        key: &[u8],
        verb: Verb,
        timeout: Option<Duration>,
        owner: Owner<T>,
        now: Instant,
    ) -> Result<CallId, Error> {
        let spare = self.spare_keys.pop().unwrap_or_default();
        let key = self.config.keys.key(key, spare)?;
        let Asker { subset, module } = asker;
        let (home, server) = self.choose(subset, &key, now);
        let new = NewCall { key: Some(key), work: Work::Keyed(verb), module, subset, home, server };
        let room = self.admit(&new, now)?;
        Ok(self.begin(owner, new, room, timeout, now))
    }

    /// A part has its answer. False: its value was dropped, as batches hold too many bytes.
    pub(super) fn gather(&mut self, whole: CallId, index: usize, mut part: Part) -> bool {
        let Some(Task::Parts(batch)) = self.calls.get_mut(whole).map(|call| &mut call.task) else { return true };
        let held = self.gathered.hold(batch, &mut part);
        batch.answer(index, part);
        self.count_part(whole);
        held
    }

    /// An operation is handed out or cancelled: its values do not count any more.
    pub(super) fn release_gathered(&mut self, task: &Task) {
        self.gathered.release(gathered(task));
    }

    fn complete_batch(&mut self, whole: CallId) {
        let Some(batch) = self.take_batch(whole) else { return };
        self.answer(whole, Ok(Outcome::Many(batch.into_answers())));
    }

    fn take_batch(&mut self, whole: CallId) -> Option<Box<Batch>> {
        match &mut self.calls.get_mut(whole)?.task {
            Task::Parts(batch) => Some(std::mem::take(batch)),
            Task::Work(_) | Task::Answer(_) => None,
        }
    }

    /// Cancels the parts of a batch.
    pub(super) fn take_back_parts(&mut self, whole: CallId, now: Instant) {
        let Some(batch) = self.take_batch(whole) else { return };
        self.gathered.release(batch.held());
        for part in batch.into_parts() {
            self.take_back(part, now);
        }
    }
}

/// Bytes of values that an operation holds.
pub(super) fn gathered(task: &Task) -> usize {
    match task {
        Task::Parts(batch) => batch.held(),
        Task::Answer(Ok(Outcome::Many(parts))) => held(parts),
        Task::Answer(_) | Task::Work(_) => 0,
    }
}
