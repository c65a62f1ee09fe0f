//! Values that pass through other threads.

#![allow(unsafe_code)]

use super::thread::Thread;

/// A value that other threads may hold, and only its own thread may see.
#[derive(Clone, Copy)]
pub(crate) struct Bound<T: Copy> {
    thread: Thread,
    value: T,
}

// SAFETY: only its own thread gets the value, and nothing is to be done when it is dropped: it is `Copy`.
unsafe impl<T: Copy> Send for Bound<T> {}
// SAFETY: as above.
unsafe impl<T: Copy> Sync for Bound<T> {}

impl<T: Copy> Bound<T> {
    /// A value of this thread.
    pub(crate) fn new(value: T) -> Self {
        Bound { thread: Thread::this(), value }
    }

    /// The value; `None` on another thread.
    pub(crate) fn get(&self) -> Option<T> {
        (Thread::this() == self.thread).then_some(self.value)
    }
}
