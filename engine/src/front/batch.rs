//! Gets of many keys in one operation.
//!
//! Each key has an operation of its own, on its own server, and all are under way at once. The last one to end
//! completes the batch. A key that cannot be asked for has an error among the answers, and does not affect the others.

use std::collections::TryReserveError;

use bytes::{Bytes, BytesMut};

use crate::id::CallId;
use crate::limits::MAX_GATHERED;
use crate::operation::error::Error;
use crate::operation::reply::{Outcome, Part, KEEP_COPIES};

/// The state of a batch.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// In the order of the keys, with placeholders for missing answers.
    answers: Vec<Part>,
    /// The number of missing answers, plus one until all keys were asked for: some operations may end before that.
    left: usize,
    /// The operations of the batch. Some may have ended.
    parts: Vec<CallId>,
    /// Memory that small values share.
    values: BytesMut,
}

/// The largest allocation for small values of a batch, in bytes.
const VALUES_CHUNK: usize = 16 * 1024;

impl Batch {
    /// A batch without keys, with room for `keys`.
    pub fn begin(keys: usize) -> Result<Box<Self>, TryReserveError> {
        let mut batch = Box::<Batch>::default();
        batch.answers.try_reserve(keys)?;
        batch.parts.try_reserve(keys)?;
        batch.left = 1;
        Ok(batch)
    }

    /// Adds a key. Returns its index among the answers.
    pub fn expect(&mut self) -> usize {
        self.answers.push(Part { answer: Err(Error::NotSent), stand_in: false });
        self.left = self.left.saturating_add(1);
        self.answers.len().saturating_sub(1)
    }

    /// Adds the operation for a key.
    pub fn add(&mut self, part: CallId) {
        self.parts.push(part);
    }

    /// A key has its answer.
    pub fn answer(&mut self, index: usize, part: Part) {
        if let Some(answer) = self.answers.get_mut(index) {
            *answer = part;
        }
    }

    /// One key has its answer, or all keys were asked for. True if no answer is missing now.
    pub fn count(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left == 0
    }

    /// Copies a value if it would keep a whole read buffer until the last answer has come. The copies' memory is
    /// allocated for values of this size.
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

    /// The bytes of its values.
    pub fn held(&self) -> usize {
        held(&self.answers)
    }

    /// The answers so far.
    pub fn into_answers(self) -> Vec<Part> {
        self.answers
    }

    /// The operations of the batch.
    pub fn into_parts(self) -> Vec<CallId> {
        self.parts
    }
}

/// The bytes of values in these answers.
pub(crate) fn held(parts: &[Part]) -> usize {
    let value = |part: &Part| match &part.answer {
        Ok(Outcome::Item(item)) => item.value.len(),
        _ => 0,
    };
    parts.iter().map(value).sum()
}

/// The bytes of values that all batches of a client hold, at most [`MAX_GATHERED`]. A single batch is always allowed.
#[derive(Debug, Default)]
pub(crate) struct Gathered(usize);

impl Gathered {
    /// Adds the value of an answer to its batch. False: there is no room for it, and the answer is now
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

    /// Releases this many bytes.
    pub fn release(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes);
    }

    /// The bytes held.
    pub fn bytes(&self) -> usize {
        self.0
    }
}
