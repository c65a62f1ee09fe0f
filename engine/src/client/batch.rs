//! Gets of many keys that are one operation for whoever asked.
//!
//! Each key is an operation of its own, on its own server, all of them under way at once; the last one to end completes
//! the whole. A key that cannot be asked for has an error among the answers, and keeps none of the others from theirs.

use std::time::Duration;

use super::{Call, CallId, Client, Owner, Place, Rejected, Subset, Work};
use crate::error::Error;
use crate::key::Key;
use crate::reply::{keep, Answer, Outcome};
use crate::request::{Ttl, Verb};
use crate::time::Instant;

/// What a batch waits for.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// In the order of the keys.
    answers: Vec<Option<Answer>>,
    /// How many of them are missing.
    left: usize,
    /// The operations that it consists of; some may have ended.
    parts: Vec<CallId>,
}

impl<T> Client<T> {
    /// Reads many items, and sets their expiry if `touch` says so. The answer is [`Outcome::Many`].
    ///
    /// Keys are asked for in their order, and no more of them than [`submit`](Client::submit) would accept. It is refused
    /// only where there is no memory for the operation itself.
    pub fn submit_many<'a>(
        &mut self,
        subset: Subset,
        keys: impl IntoIterator<Item = &'a [u8]>,
        touch: Option<Ttl>,
        timeout: Option<Duration>,
        context: T,
        now: Instant,
    ) -> Result<CallId, Rejected<T>> {
        if self.make_room_for_one().is_err() {
            return Err(Rejected { error: Error::NoMemory, context });
        }
        let whole = self.calls.insert(Call::gathering(context, subset, now));
        let mut batch = Batch::default();
        for key in keys {
            let owner = Owner::Batch(whole, batch.answers.len());
            match self.submit_part(subset, key, Verb::Get { touch }, timeout, owner, now) {
                Ok(part) => {
                    batch.parts.push(part);
                    batch.answers.push(None);
                    batch.left = batch.left.saturating_add(1);
                }
                Err(error) => batch.answers.push(Some(Err(error))),
            }
        }
        let complete = batch.left == 0;
        self.batches.insert(whole, batch);
        if complete {
            self.complete_batch(whole);
        }
        Ok(whole)
    }

    fn submit_part(
        &mut self,
        subset: Subset,
        key: &[u8],
        verb: Verb,
        timeout: Option<Duration>,
        owner: Owner<T>,
        now: Instant,
    ) -> Result<CallId, Error> {
        let spare = self.spare_keys.pop().unwrap_or_default();
        let key = Key::new(&self.config.prefix, key, spare)?;
        let server = self.choose(subset, &key, now);
        let work = Work::Keyed(key, verb);
        let room = self.admit(server, &work, now)?;
        Ok(self.begin(owner, work, subset, server, room, timeout, now))
    }

    /// A part has its answer.
    pub(super) fn gather(&mut self, whole: CallId, index: usize, mut answer: Answer) {
        let Some(batch) = self.batches.get_mut(whole) else { return };
        let Some(place) = batch.answers.get_mut(index) else { return };
        // It may wait for others for a while, and must not keep a whole read buffer for that.
        if let Ok(Outcome::Item(item)) = &mut answer {
            item.value = keep(&item.value);
        }
        *place = Some(answer);
        batch.left = batch.left.saturating_sub(1);
        if batch.left == 0 {
            self.complete_batch(whole);
        }
    }

    fn complete_batch(&mut self, whole: CallId) {
        let Some(batch) = self.batches.remove(whole) else { return };
        if let Some(call) = self.calls.get_mut(whole) {
            call.place = Place::Done;
        }
        let answers = batch.answers.into_iter().flatten().collect();
        self.completions.push_back((whole, Ok(Outcome::Many(answers))));
    }

    /// Takes back what a batch consists of.
    pub(super) fn withdraw_parts(&mut self, whole: CallId, now: Instant) {
        let Some(batch) = self.batches.remove(whole) else { return };
        for part in batch.parts {
            self.withdraw(part, now);
        }
    }
}
