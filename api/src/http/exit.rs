//! The worker's graceful exit: what it waits for, and how those hear of it that it does not wait for.

#![forbid(unsafe_code)]

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};

use ngx::ffi::ngx_msec_t;

use super::detached;
use crate::nginx::event::Event;
use crate::nginx::{cycle, idle};

/// How long the timer below runs before it is set again.
const DAY: ngx_msec_t = 24 * 60 * 60 * 1000;

thread_local! {
    /// Requests whose blocks are not over.
    static HELD: Cell<usize> = const { Cell::new(0) };
    /// nginx exits when all timers that are left are cancelable. This one is not while there are such blocks: to mark it
    /// costs less than a timer for each. It is there as long as the worker.
    static TIMER: OnceCell<ManuallyDrop<Event<()>>> = const { OnceCell::new() };
    /// What is open for the connection that hears of the exit.
    static WATCHED: Cell<Option<OwnedFd>> = const { Cell::new(None) };
}

/// Whether the worker was told to exit, and only waits for what is under way: a loop in a detached future ends then.
///
/// See [`spawn_detached`](super::spawn_detached).
pub fn exiting() -> bool {
    cycle::is_exiting()
}

/// Has a worker that exits wait, until [`release`].
pub(super) fn hold() {
    let held = HELD.get();
    HELD.set(held.saturating_add(1));
    if held == 0 {
        mark(false);
    }
}

/// One less to wait for.
pub(super) fn release() {
    let held = HELD.get().saturating_sub(1);
    HELD.set(held);
    if held == 0 {
        mark(true);
    }
}

fn mark(cancelable: bool) {
    let run = |timer: &Event<()>| {
        timer.set_cancelable(cancelable);
        if !timer.has_timer() {
            timer.set_timer(DAY);
        }
    };
    TIMER.with(|timer| run(timer.get_or_init(|| ManuallyDrop::new(Event::new((), |_| set_again())))));
}

fn set_again() {
    TIMER.with(|timer| timer.get().map(|timer| timer.set_timer(DAY)));
}

/// Makes sure that detached futures hear of the exit: nginx tells connections that are idle. Without a connection, or a
/// file, they do not, and an exiting worker waits for their sleeps.
pub(super) fn watch() {
    if WATCHED.take().map(|fd| WATCHED.set(Some(fd))).is_some() || exiting() {
        return;
    }
    let Ok(file) = File::open("/dev/null") else { return };
    if idle::when_told_to_exit(file.as_fd(), told).is_some() {
        WATCHED.set(Some(file.into()));
    }
}

/// The worker is about to exit.
fn told() {
    WATCHED.set(None);
    detached::wake_all();
}
