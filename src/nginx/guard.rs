//! Panics stop here: none leaves a function that nginx or a sibling calls.

#![forbid(unsafe_code)]

use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use super::log::Log;

/// Runs the body of a function that C calls. A panic is a defect of the module; it becomes `on_panic`, after the hook
/// has logged it.
pub fn guard<R>(on_panic: R, body: impl FnOnce() -> R) -> R {
    // State behind the body is in cells that are valid at every step, so that it can be used again after a panic.
    panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or(on_panic)
}

/// From now on, panics are written to nginx's error log instead of standard error, which a daemon does not have.
pub fn log_panics() {
    static ONCE: Once = Once::new();

    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            // A panic on another thread than nginx's would need code that runs there; the module has none.
            Log::current(|log| log.alert(format_args!("memcache: {info}")));
        }));
    });
}
