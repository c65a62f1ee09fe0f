//! Whether this is the event loop's thread, and what runs there.

#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
pub(crate) mod notify;
pub(crate) mod panic;
pub(crate) mod turn;

use std::cell::Cell;

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Notes that this is the event loop's thread: the module has said so, or nginx has called with a request.
pub(crate) fn entered() {
    HERE.set(true);
}

/// Whether this is the event loop's thread, as far as is known.
pub(crate) fn is_here() -> bool {
    HERE.get()
}
