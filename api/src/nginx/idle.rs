//! What nginx tells connections that are idle.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

use nginx_sys::{ngx_connection_t, ngx_event_t, ngx_free_connection, ngx_get_connection};

use super::cycle;

/// Has a function called when the worker is told to exit, with an idle connection for this descriptor, which stays open
/// until then. `None`: there is no connection.
pub(crate) fn when_told_to_exit(fd: BorrowedFd<'_>, function: fn()) -> Option<()> {
    // SAFETY: this is the thread of a worker's event loop. nginx does not read from the connection, or write to it: it is
    // no event's. The data of its event are the connection.
    unsafe {
        let connection = ngx_get_connection(fd.as_raw_fd(), cycle::log()).as_mut()?;
        connection.set_idle(1);
        connection.data = function as *mut c_void;
        (*connection.read).handler = Some(told);
        (*connection.read).log = cycle::log();
    }
    Some(())
}

unsafe extern "C" fn told(event: *mut ngx_event_t) {
    // SAFETY: it is the event of the connection above; nobody uses that any more.
    let function = unsafe {
        let connection = (*event).data.cast::<ngx_connection_t>();
        let function = mem::transmute::<*mut c_void, fn()>((*connection).data);
        ngx_free_connection(connection);
        // What nginx takes for a socket that was forgotten, otherwise.
        (*connection).fd = -1;
        function
    };
    function();
}
