//! What binds a call to its request, and the calls as a request sees them.

#![forbid(unsafe_code)]

use memcache_engine::{CallId, Instant};

/// The calls of a client, as a request sees them that they are bound to.
pub trait Calls {
    /// Takes a call back, so that its handler will not run. Whether it was there.
    fn cancel(&self, call: CallId) -> bool;
    /// The request of a call is gone; the call goes on without it.
    fn unbind(&self, call: CallId);
    /// When something happened last: a call was accepted, or its reply has come.
    fn latest(&self) -> Instant;
}

/// What binds an operation to its request.
#[derive(Clone, Copy)]
pub struct Binding {
    /// Whether it is cancelled when the request ends.
    pub cancels: bool,
    /// How many operations it consists of.
    pub operations: usize,
    /// Whether they are such as hit or miss.
    pub reads: bool,
}

/// Why an operation cannot be bound to its request.
pub enum Unbound {
    /// It is none, or has ended.
    NotARequest,
    NoMemory,
}
