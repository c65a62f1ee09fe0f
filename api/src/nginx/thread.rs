//! Threads.

#![allow(unsafe_code)]

use nginx_sys::{pthread_self, pthread_t};

/// A thread, for comparing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Thread(pthread_t);

impl Thread {
    /// The one that runs this.
    pub(crate) fn this() -> Self {
        // SAFETY: always succeeds, and has no preconditions.
        Thread(unsafe { pthread_self() })
    }
}
