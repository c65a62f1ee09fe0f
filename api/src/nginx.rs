//! nginx's C API as small safe types.
//!
//! The raw calls are here, and in no other room but `ffi`. What a type is good for, and until when, is in its documentation:
//! its functions rely on that. All of it is for the thread of the event loop, unless something else is said.

pub(crate) mod body;
#[cfg(feature = "tokio")]
pub(crate) mod bound;
pub(crate) mod conf;
pub(crate) mod cycle;
pub(crate) mod event;
pub(crate) mod idle;
pub(crate) mod log;
pub(crate) mod output;
pub(crate) mod request;
pub(crate) mod thread;
#[cfg(feature = "tokio")]
pub(crate) mod watched;
