//! Gets of many keys that are one operation for whoever asked.
//!
//! Each key is an operation of its own, on its own server, all of them under way at once; the last one to end completes
//! the whole. A key that cannot be asked for has an error among the answers, and keeps none of the others from theirs.

use std::collections::TryReserveError;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{Call, Client, Order, Owner, Rejected, Subset, Task};
use crate::id::CallId;
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::reply::{Outcome, Part, KEEP_COPIES};
use crate::operation::request::{Ttl, Verb};
use crate::operation::work::Work;
use crate::time::Instant;

/// What a batch waits for.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// In the order of the keys; where one is missing, something in its place.
    answers: Vec<Part>,
    /// How many of them are missing; and one, until all keys were asked for: what others find out may end some meanwhile.
    left: usize,
    /// The operations that it consists of; some may have ended.
    parts: Vec<CallId>,
    /// Memory that small values share.
    values: BytesMut,
}

/// The most that batches of a client hold of values, in bytes, from when they come until the batch is handed out. A
/// value that would exceed it is dropped, and its key ends with [`Error::Busy`]; one alone is always held.
pub const MAX_GATHERED: usize = 64 * 1024 * 1024;

/// The most that is allocated at once for the small values of a batch, in bytes.
const VALUES_CHUNK: usize = 16 * 1024;

impl Batch {
    fn with_capacity(keys: usize) -> Result<Box<Self>, TryReserveError> {
        let mut batch = Box::<Batch>::default();
        batch.answers.try_reserve(keys)?;
        batch.parts.try_reserve(keys)?;
        Ok(batch)
    }

    /// Takes a value along until the others have come, which may be a while: it must not keep a whole read buffer for
    /// that. The others are taken to be as large.
    fn keep(&mut self, value: &Bytes) -> Bytes {
        if value.len() > KEEP_COPIES {
            return value.clone();
        }
        if self.values.capacity() < value.len() {
            self.values.reserve(value.len().saturating_mul(self.left).clamp(value.len(), VALUES_CHUNK));
        }
        self.values.extend_from_slice(value);
        self.values.split().freeze()
    }
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
        let keys = keys.into_iter();
        let (Ok(()), Ok(mut batch)) = (self.make_room_for_one(), Batch::with_capacity(keys.size_hint().0)) else {
            return Err(Rejected { error: Error::NoMemory, context });
        };
        self.writes.count_submitted();
        batch.left = 1;
        let whole = self.calls.insert(Call::gathering(context, batch, subset, now));
        for key in keys {
            let Some(index) = self.expect_part(whole) else { break };
            match self.submit_part(subset, key, Verb::Get { touch }, timeout, Owner::Batch(whole, index), now) {
                Ok(part) => {
                    if let Some(batch) = self.batch(whole) {
                        batch.parts.push(part);
                    }
                }
                Err(error) => drop(self.gather(whole, index, Part { answer: Err(error), stand_in: false })),
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

    /// One more part is to come: its place among the answers.
    fn expect_part(&mut self, whole: CallId) -> Option<usize> {
        let batch = self.batch(whole)?;
        batch.answers.push(Part { answer: Err(Error::NotSent), stand_in: false });
        batch.left = batch.left.saturating_add(1);
        batch.answers.len().checked_sub(1)
    }

    /// One less is to come.
    fn count_part(&mut self, whole: CallId) {
        let Some(batch) = self.batch(whole) else { return };
        batch.left = batch.left.saturating_sub(1);
        if batch.left == 0 {
            self.complete_batch(whole);
        }
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
        let (home, server) = self.choose(subset, &key, now);
        let order = Order { key: Some(key), work: Work::Keyed(verb), subset, home, server };
        let room = self.admit(&order, now)?;
        Ok(self.begin(owner, order, room, timeout, now))
    }

    /// A part has its answer. False: its value was dropped, as too many are held.
    pub(super) fn gather(&mut self, whole: CallId, index: usize, mut part: Part) -> bool {
        let Some(Task::Parts(batch)) = self.calls.get_mut(whole).map(|call| &mut call.task) else { return true };
        let mut dropped = false;
        if let Ok(Outcome::Item(item)) = &mut part.answer {
            let gathered = self.gathered.saturating_add(item.value.len());
            dropped = self.gathered > 0 && gathered > MAX_GATHERED;
            if !dropped {
                self.gathered = gathered;
                item.value = batch.keep(&item.value);
            }
        }
        if dropped {
            part.answer = Err(Error::Busy);
        }
        if let Some(place) = batch.answers.get_mut(index) {
            *place = part;
        }
        self.count_part(whole);
        !dropped
    }

    /// An operation is handed out, or taken back: its values are held no more.
    pub(super) fn release_gathered(&mut self, task: &Task) {
        self.gathered = self.gathered.saturating_sub(gathered(task));
    }

    fn complete_batch(&mut self, whole: CallId) {
        let Some(batch) = self.take_batch(whole) else { return };
        self.answer(whole, Ok(Outcome::Many(batch.answers)));
    }

    fn take_batch(&mut self, whole: CallId) -> Option<Box<Batch>> {
        match &mut self.calls.get_mut(whole)?.task {
            Task::Parts(batch) => Some(std::mem::take(batch)),
            Task::Work(_) | Task::Answer(_) => None,
        }
    }

    /// Takes back what a batch consists of.
    pub(super) fn withdraw_parts(&mut self, whole: CallId, now: Instant) {
        let Some(batch) = self.take_batch(whole) else { return };
        self.gathered = self.gathered.saturating_sub(held(&batch.answers));
        for part in batch.parts {
            self.withdraw(part, now);
        }
    }
}

/// Bytes of values that a batch holds.
pub(super) fn gathered(task: &Task) -> usize {
    match task {
        Task::Parts(batch) => held(&batch.answers),
        Task::Answer(Ok(Outcome::Many(parts))) => held(parts),
        Task::Answer(_) | Task::Work(_) => 0,
    }
}

fn held(parts: &[Part]) -> usize {
    let value = |part: &Part| match &part.answer {
        Ok(Outcome::Item(item)) => item.value.len(),
        _ => 0,
    };
    parts.iter().map(value).sum()
}
