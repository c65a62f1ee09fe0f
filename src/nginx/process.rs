//! nginx's processes: which there are, and whether they still run.

#![allow(unsafe_code)]

use core::ptr::addr_of;
use std::io;

use nginx_sys::{ngx_exiting, ngx_last_process, ngx_pid, ngx_process_t, ngx_processes, ngx_worker};

/// The processes that this one has started and that may still run: in a master, its workers, of all configurations, and
/// its helpers. A new nginx that an upgrade has started is none of them: it has memory of its own.
pub fn children() -> impl Iterator<Item = u32> {
    let list = addr_of!(ngx_processes).cast::<ngx_process_t>();
    // SAFETY: nginx's list is there in every process and has at least so many entries; only this thread changes them.
    let used = usize::try_from(unsafe { addr_of!(ngx_last_process).read() }).unwrap_or(0);
    (0..used).filter_map(move |at| {
        // SAFETY: as above.
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
    // SAFETY: nginx sets it when the process starts.
    unsafe { addr_of!(ngx_pid).read() }
}

/// The number of this worker among those of its configuration.
pub fn worker_number() -> usize {
    // SAFETY: nginx sets it when the process starts.
    unsafe { addr_of!(ngx_worker).read() }
}

/// Whether there is such a process, or was a moment ago.
pub fn is_alive(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    // SAFETY: nothing is sent. A process that may not be sent anything is there.
    unsafe { nginx_sys::kill(pid, 0) == 0 || io::Error::last_os_error().kind() == io::ErrorKind::PermissionDenied }
}

/// Whether the worker exits gracefully.
pub fn is_exiting() -> bool {
    // SAFETY: nginx sets it on this thread.
    unsafe { addr_of!(ngx_exiting).read() != 0 }
}
