//! nginx's processes: which there are, whether they still run, and what this one is.

#![allow(unsafe_code)]

use core::ptr::addr_of;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::io;

use nginx_sys::{ngx_process_t, ngx_processes, ngx_uint_t, pthread_self, NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER};

use super::global::global;

/// The processes that this one has started and that may still run: in a master, its workers, of all configurations, and
/// its helpers. A new nginx that an upgrade has started is none of them: it has memory of its own.
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

/// The same, as the system has it.
pub fn pid_number() -> i32 {
    global!(ngx_pid)
}

/// The number of this worker among those of its configuration.
pub fn worker_number() -> usize {
    global!(ngx_worker)
}

/// Whether there is such a process, or was a moment ago.
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

/// There are no clients here: no worker, or no configuration yet.
#[derive(Clone, Copy, Debug)]
pub struct NotAvailable;

/// The thread that this process' event loop runs on; 0 until the first use, and no thread's number in what a worker
/// forked. Not of a cycle, so it may be a static.
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

/// Whether this is the thread of the event loop. The first to ask is on it: workers start with `init_process`, ours or
/// a sibling's, before other threads have work.
pub fn on_event_loop() -> bool {
    // SAFETY: always succeeds, and has no preconditions.
    let this = unsafe { pthread_self() } as usize;
    match EVENT_LOOP.load(Ordering::Relaxed) {
        0 => claim(this),
        event_loop => event_loop == this,
    }
}

/// This thread is the event loop's from now on. A child that a worker forks has none: it would write to the worker's
/// sockets.
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
