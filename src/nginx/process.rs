//! nginx's processes: this one, and those that it has started.

#![allow(unsafe_code)]

use core::ptr::addr_of;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io;

use nginx_sys::{ngx_process_t, ngx_processes, ngx_uint_t, pthread_self, NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER};

use super::global::global;

/// The processes that this one has started and that may still run: in a master, its helpers, and its workers of all
/// configurations. The new nginx of an upgrade is not included, since it has memory of its own.
pub fn children() -> impl Iterator<Item = u32> {
    let list = addr_of!(ngx_processes).cast::<ngx_process_t>();
    let used = usize::try_from(global!(ngx_last_process)).unwrap_or(0);
    (0..used).filter_map(move |at| {
        // SAFETY: nginx's list is there in every process and has at least so many entries; only this thread changes them.
        let process = unsafe { &*list.add(at) };
        // One that has exited counts until nginx has noticed.
        let runs = process.pid > 0 && process.exited() == 0 && process.detached() == 0;
        runs.then(|| u32::try_from(process.pid).ok()).flatten()
    })
}

/// This process.
pub fn pid() -> u32 {
    u32::try_from(pid_number()).unwrap_or(0)
}

/// The same, as the system's type.
pub fn pid_number() -> i32 {
    global!(ngx_pid)
}

/// The number of this worker among those of its configuration.
pub fn worker_number() -> usize {
    global!(ngx_worker)
}

/// Whether there is such a process. It may just have ended.
pub fn is_alive(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    // SAFETY: nothing is sent. A process that may not be sent anything is there.
    unsafe { nginx_sys::kill(pid, 0) == 0 || io::Error::last_os_error().kind() == io::ErrorKind::PermissionDenied }
}

/// Whether the worker exits gracefully.
pub fn is_exiting() -> bool {
    global!(ngx_exiting) != 0
}

/* this process */

/// There are no clients: this is no worker, or there is no configuration yet.
#[derive(Clone, Copy, Debug)]
pub struct NotAvailable;

/// The thread of this process' event loop. It is 0 until the first use. In a child of a worker, it is no thread's number.
/// It does not depend on the cycle, so it may be a static.
static EVENT_LOOP: AtomicUsize = AtomicUsize::new(0);

/// Only workers have clients; the cache manager and loader run `init_process` as well. During the first configuration
/// the kind of the process is not known yet, but there is no cycle then.
pub fn check_process() -> Result<(), NotAvailable> {
    const WORKER: ngx_uint_t = NGX_PROCESS_WORKER as ngx_uint_t;
    const SINGLE: ngx_uint_t = NGX_PROCESS_SINGLE as ngx_uint_t;

    match global!(ngx_process) {
        WORKER | SINGLE => Ok(()),
        _ => Err(NotAvailable),
    }
}

/// Whether this is the thread of the event loop. The first caller is: workers start with `init_process`, ours or a
/// sibling's, before other threads have work.
pub fn on_event_loop() -> bool {
    // SAFETY: always succeeds, and has no preconditions.
    let this = unsafe { pthread_self() } as usize;
    match EVENT_LOOP.load(Ordering::Relaxed) {
        0 => claim(this),
        event_loop => event_loop == this,
    }
}

/// Makes this thread the event loop's. A child that a worker forks has none: it would write to the worker's sockets.
fn claim(this: usize) -> bool {
    if EVENT_LOOP.compare_exchange(0, this, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return false;
    }
    // SAFETY: the function may be called in any child, as it only stores a number, and is never unmapped: the module
    // is linked with `-z nodelete`. Where there is no memory for it, the child is not told from its worker.
    unsafe { pthread_atfork(None, None, Some(forget_event_loop)) };
    true
}

unsafe extern "C" fn forget_event_loop() {
    EVENT_LOOP.store(usize::MAX, Ordering::Relaxed);
}

extern "C" {
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> core::ffi::c_int;
}
