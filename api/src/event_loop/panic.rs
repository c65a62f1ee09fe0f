//! Panics of handlers, which must not reach nginx.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::nginx::log;

thread_local! {
    /// Whether this thread is in `caught()`.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// The last panic there.
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

static HOOK: Once = Once::new();

/// Calls a function. If it panics, nothing is printed: the error is what there is to log, one line without control
/// characters.
pub(crate) fn caught<R>(function: impl FnOnce() -> R) -> Result<R, String> {
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| match INSIDE.get() {
            true => TEXT.set(text(info)),
            false => print(info),
        }));
    });
    let outside = INSIDE.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(function));
    INSIDE.set(outside);
    result.map_err(|_| TEXT.take())
}

/// Calls a function that should not panic, such as a drop or a wake. If it does, that is logged, and does not reach nginx.
pub(crate) fn contain(what: &str, function: impl FnOnce()) {
    if let Err(panic) = caught(function) {
        log::cycle_error(format_args!("{what} {panic}"));
    }
}

fn text(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
    format!("panicked{place}: {}", message.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_become_one_line() {
        assert_eq!(caught(|| 1), Ok(1));

        let text = caught(|| panic!("two\nlines {}", 2)).unwrap_err();
        assert!(text.starts_with("panicked at ") && text.ends_with(r": two\nlines 2"), "{text}");

        let nested = caught(|| caught(|| panic!("inner")).is_err());
        assert_eq!(nested, Ok(true));
    }
}
