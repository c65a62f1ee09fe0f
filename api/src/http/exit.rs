//! The worker's graceful exit: what it waits for, and how those hear of it that it does not wait for.

use std::cell::{Cell, UnsafeCell};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use ngx::ffi::{
    ngx_add_timer, ngx_connection_t, ngx_cycle, ngx_event_t, ngx_free_connection, ngx_get_connection, ngx_msec_t,
};

use super::detached;
use crate::event_loop;

/// How long the timer below runs before it is set again.
const DAY: ngx_msec_t = 24 * 60 * 60 * 1000;

thread_local! {
    /// Requests whose blocks are not over.
    static HELD: Cell<usize> = const { Cell::new(0) };
    /// nginx exits when all timers that are left are cancelable. This one is not while there are such blocks: to mark it
    /// costs less than a timer for each. An event of zeros is what nginx's own modules start with.
    static TIMER: UnsafeCell<MaybeUninit<ngx_event_t>> = const { UnsafeCell::new(MaybeUninit::zeroed()) };
    /// What is open for the connection that hears of the exit.
    static WATCHED: Cell<Option<OwnedFd>> = const { Cell::new(None) };
}

/// Whether the worker was told to exit, and only waits for what is under way: a loop in a detached future ends then.
///
/// See [`spawn_detached`](super::spawn_detached).
pub fn exiting() -> bool {
    event_loop::is_exiting()
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
    TIMER.with(|timer| {
        let timer = timer.get().cast::<ngx_event_t>();
        // SAFETY: it stays where it is as long as the thread, which is the event loop's, and nobody else uses it.
        // ngx_cycle is there as long as the worker.
        unsafe {
            (*timer).set_cancelable(cancelable.into());
            if (*timer).timer_set() == 0 {
                (*timer).handler = Some(again);
                (*timer).log = (*ngx_cycle).log;
                (*timer).data = (&raw mut CONNECTION).cast();
                ngx_add_timer(timer, DAY);
            }
        }
    });
}

/// What nginx's debug log takes for a connection with its socket when it prints the timer.
static mut CONNECTION: [usize; 4] = [0, 0, 0, usize::MAX];

unsafe extern "C" fn again(timer: *mut ngx_event_t) {
    // SAFETY: nginx has taken it out of its tree.
    unsafe { ngx_add_timer(timer, DAY) };
}

/// Makes sure that detached futures hear of the exit: nginx tells connections that are idle. Without a connection, or a
/// file, they do not, and an exiting worker waits for their sleeps.
pub(super) fn watch() {
    if WATCHED.take().map(|fd| WATCHED.set(Some(fd))).is_some() || exiting() {
        return;
    }
    let Ok(file) = File::open("/dev/null") else { return };
    // SAFETY: this is the event loop's thread of a worker. nginx does not read from the connection, or write to it: it is
    // no event's.
    unsafe {
        let connection = ngx_get_connection(file.as_raw_fd(), (*ngx_cycle).log);
        let Some(connection) = connection.as_mut() else { return };
        connection.set_idle(1);
        (*connection.read).handler = Some(told);
        (*connection.read).log = (*ngx_cycle).log;
    }
    WATCHED.set(Some(file.into()));
}

/// The worker is about to exit.
unsafe extern "C" fn told(event: *mut ngx_event_t) {
    // SAFETY: it is the event of the connection that `watch` has got; nobody uses it any more.
    unsafe {
        let connection = (*event).data.cast::<ngx_connection_t>();
        ngx_free_connection(connection);
        // What nginx takes for a socket that was forgotten, otherwise.
        (*connection).fd = -1;
    }
    WATCHED.set(None);
    detached::wake_all();
}
