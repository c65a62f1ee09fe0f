//! Gets of many keys that are one operation for whoever asked.
//!
//! Each key is an operation of its own, on its own server, all of them under way at once; the last one to end completes
//! the whole. A key that cannot be asked for has an error among the answers, and keeps none of the others from theirs.

use std::collections::TryReserveError;

use bytes::{Bytes, BytesMut};

use crate::id::CallId;
use crate::limits::MAX_GATHERED;
use crate::operation::error::Error;
use crate::operation::reply::{Outcome, Part, KEEP_COPIES};

/// What a batch waits for.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// In the order of the keys; where one is missing, something in its place.
    answers: Vec<Part>,
    /// How many of them are missing; and one, until all keys were asked for: what others find out may end some meanwhile.
    left: usize,
    /// The operations that it consists of; some may have ended.
    parts: Vec<CallId>,
    /// Memory that small values share.
    values: BytesMut,
}

/// The most that is allocated at once for the small values of a batch, in bytes.
const VALUES_CHUNK: usize = 16 * 1024;

impl Batch {
    /// One whose keys are still to be asked for.
    pub fn begin(keys: usize) -> Result<Box<Self>, TryReserveError> {
        let mut batch = Box::<Batch>::default();
        batch.answers.try_reserve(keys)?;
        batch.parts.try_reserve(keys)?;
        batch.left = 1;
        Ok(batch)
    }

    /// One more key is asked for: its place among the answers.
    pub fn expect(&mut self) -> usize {
        self.answers.push(Part { answer: Err(Error::NotSent), stand_in: false });
        self.left = self.left.saturating_add(1);
        self.answers.len().saturating_sub(1)
    }

    /// The operation that asks for a key.
    pub fn add(&mut self, part: CallId) {
        self.parts.push(part);
    }

    /// A key has its answer.
    pub fn answer(&mut self, index: usize, part: Part) {
        if let Some(answer) = self.answers.get_mut(index) {
            *answer = part;
        }
    }

    /// One key has its answer, or all were asked for. True if that was the last.
    pub fn count(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left == 0
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

    /// Bytes of values that it holds.
    pub fn held(&self) -> usize {
        held(&self.answers)
    }

    /// What has come.
    pub fn into_answers(self) -> Vec<Part> {
        self.answers
    }

    /// The operations that it consists of.
    pub fn into_parts(self) -> Vec<CallId> {
        self.parts
    }
}

/// Bytes of values in these answers.
pub(crate) fn held(parts: &[Part]) -> usize {
    let value = |part: &Part| match &part.answer {
        Ok(Outcome::Item(item)) => item.value.len(),
        _ => 0,
    };
    parts.iter().map(value).sum()
}

/// Bytes of values that all batches of a client hold, at most [`MAX_GATHERED`]; one alone is always held.
#[derive(Debug, Default)]
pub(crate) struct Gathered(usize);

impl Gathered {
    /// Holds the value of an answer for its batch. False: there is no room for it, and the answer is
    /// [`Busy`](Error::Busy).
    pub fn hold(&mut self, batch: &mut Batch, part: &mut Part) -> bool {
        let Ok(Outcome::Item(item)) = &mut part.answer else { return true };
        let gathered = self.0.saturating_add(item.value.len());
        if self.0 > 0 && gathered > MAX_GATHERED {
            part.answer = Err(Error::Busy);
            return false;
        }
        self.0 = gathered;
        item.value = batch.keep(&item.value);
        true
    }

    /// So many are released.
    pub fn release(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    /// How many are held.
    pub fn bytes(&self) -> usize {
        self.0
    }
}
