//! A descriptor that nginx watches for a module.

#![allow(unsafe_code)]

use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

use nginx_sys::{ngx_connection_t, ngx_event_t, ngx_handle_read_event, ngx_int_t, NGX_OK};

use super::cycle;

/// The connection is none of those of the cycle: nginx would take it for one that was forgotten, when it exits.
#[repr(C)]
struct Watched {
    connection: ngx_connection_t,
    read: ngx_event_t,
    write: ngx_event_t,
    readable: fn(),
}

/// Has a function called when there is something to read, until the worker ends. The descriptor stays open as long, and
/// the function must not panic. `None`: nginx has refused.
pub(crate) fn watch(fd: BorrowedFd<'_>, readable: fn()) -> Option<()> {
    // SAFETY: nginx's structures are good when they are zeros.
    let (connection, read, write) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
    let watched = Box::into_raw(Box::new(Watched { connection, read, write, readable }));
    // SAFETY: it is there for good, as nginx refers to it until the process ends, and nobody else knows of it yet.
    unsafe {
        (*watched).connection.fd = fd.as_raw_fd();
        (*watched).connection.log = cycle::log();
        (*watched).connection.read = &raw mut (*watched).read;
        (*watched).connection.write = &raw mut (*watched).write;
        for event in [&raw mut (*watched).read, &raw mut (*watched).write] {
            (*event).data = watched.cast();
            (*event).log = cycle::log();
        }
        (*watched).write.set_write(1);
        (*watched).read.handler = Some(arrived);
        if ngx_handle_read_event(&raw mut (*watched).read, 0) != NGX_OK as ngx_int_t {
            drop(Box::from_raw(watched));
            return None;
        }
    }
    Some(())
}

unsafe extern "C" fn arrived(event: *mut ngx_event_t) {
    // SAFETY: `watch` made it, and it is never freed. The connection, which is the event's data, is the first field.
    let readable = unsafe { (*(*event).data.cast::<Watched>()).readable };
    readable();
    // For the methods that watch an event once.
    // SAFETY: as above.
    unsafe {
        (*event).set_ready(0);
        ngx_handle_read_event(event, 0);
    }
}

const _: () = assert!(mem::offset_of!(Watched, connection) == 0);
