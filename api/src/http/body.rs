//! The body of a request.

#![forbid(unsafe_code)]

use crate::nginx::body::{parts, Part};
use crate::nginx::request::RequestRef;

/// The body of a request that nginx has read.
///
/// What fits into one buffer (`client_body_buffer_size`) is not copied.
pub struct Body(Bytes);

/// Why a body cannot be had.
pub(super) enum Unusable {
    /// It has so many bytes, which are more than it may have.
    TooLarge(usize),
    /// It cannot be read, or there is no memory.
    Failed,
}

enum Bytes {
    /// In the pool of the request. A body exists only in a task, which is dropped before that pool.
    Pooled(&'static [u8]),
    Copied(Vec<u8>),
}

impl Body {
    /// The bytes; none if the request has no body.
    pub fn bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Pooled(bytes) => bytes,
            Bytes::Copied(bytes) => bytes,
        }
    }

    /// The body of the request of a task, of at most `limit` bytes.
    pub(super) fn of_task(request: RequestRef<'static>, limit: usize) -> Result<Self, Unusable> {
        let length = parts(request).map(|part| part.len()).fold(0, usize::saturating_add);
        if length > limit {
            return Err(Unusable::TooLarge(length));
        }
        let mut filled = parts(request).filter(|part| part.len() > 0);
        if let (Some(Part::InMemory(bytes)), None) = (filled.next(), filled.next()) {
            return Ok(Body(Bytes::Pooled(bytes)));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| Unusable::Failed)?;
        for part in parts(request) {
            match part {
                Part::InMemory(part) => bytes.extend_from_slice(part),
                Part::InFile(part) => part.read(&mut bytes).map_err(|()| Unusable::Failed)?,
            }
        }
        Ok(Body(Bytes::Copied(bytes)))
    }
}
