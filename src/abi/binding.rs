//! How a call is bound to its request, and what a request needs of its calls.

#![forbid(unsafe_code)]

use memcache_engine::{CallId, Instant};

/// The calls of a client, for the request that they are bound to.
pub trait Calls {
    /// Cancels a call, so that its handler will not run. Whether it was pending.
    fn cancel(&self, call: CallId) -> bool;
    /// The request of a call is gone; the call goes on without it.
    fn unbind(&self, call: CallId);
    /// The time of the last event: a call was accepted, or its reply has arrived.
    fn latest(&self) -> Instant;
}

/// How an operation is bound to its request.
#[derive(Clone, Copy)]
pub struct Binding {
    /// Whether it is cancelled when the request ends.
    pub cancels: bool,
    /// How many operations it consists of.
    pub operations: usize,
    /// Whether they can hit or miss.
    pub reads: bool,
}

/// Why an operation cannot be bound to its request.
pub enum Unbound {
    /// It is not a request, or has ended.
    NotARequest,
    NoMemory,
}
