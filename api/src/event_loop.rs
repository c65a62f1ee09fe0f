//! Whether this is the event loop's thread, and how it ends.

pub(crate) mod log;
#[cfg(feature = "tokio")]
pub(crate) mod notify;
pub(crate) mod panic;
pub(crate) mod turn;

use std::cell::Cell;
use std::ffi::c_void;

use nginx_sys::{ngx_cycle, ngx_pool_cleanup_add, pthread_self, pthread_t};

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

/// This thread, for comparing with the one of the event loop, which there is as long as the process.
pub(crate) fn this_thread() -> pthread_t {
    // SAFETY: always succeeds, and has no preconditions.
    unsafe { pthread_self() }
}

/// Whether the worker was told to exit, and only waits for what is under way.
pub(crate) fn is_exiting() -> bool {
    // SAFETY: a number that nginx writes on this thread.
    unsafe { nginx_sys::ngx_exiting != 0 }
}

/// Has a function called when the worker exits, after all modules' `exit_process`: nobody is left then who could wait
/// for anything. Not if there is no memory.
///
/// # Safety
///
/// This is the event loop's thread, and `handler` takes `data` at any time.
pub(crate) unsafe fn at_exit(handler: unsafe extern "C" fn(*mut c_void), data: *mut c_void) {
    // SAFETY: guaranteed by the caller: in a worker there is a cycle, whose pool it destroys last.
    unsafe {
        if let Some(record) = ngx_pool_cleanup_add((*ngx_cycle).pool, 0).as_mut() {
            record.data = data;
            record.handler = Some(handler);
        }
    }
}
