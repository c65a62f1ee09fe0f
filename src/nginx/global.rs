//! nginx's variables, and its structures that begin as zeros.

#![allow(unsafe_code)]

use core::mem::MaybeUninit;

use nginx_sys::{ngx_buf_t, ngx_chain_t, ngx_event_t, ngx_peer_connection_t, ngx_url_t};

/// The value of one of nginx's global variables. Only the thread of the event loop asks, except for those that never change
/// once the process runs: `ngx_pid`, `ngx_process` and `ngx_worker`.
macro_rules! global {
    ($name:ident) => {
        // SAFETY: the variable is there from the start, and nginx writes it on this thread, or before there are others.
        unsafe { core::ptr::addr_of!(nginx_sys::$name).read() }
    };
}
pub(super) use global;

/// A structure of nginx that its own users fill with zeros first.
///
/// # Safety
///
/// All zeros are a value of the type.
pub unsafe trait Zeroed: Sized {
    /// One that nothing was written to.
    fn zeroed() -> Self {
        // SAFETY: by the contract of the trait.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }
}

// SAFETY: numbers, pointers that may be NULL, and functions that may be; so are the next ones.
unsafe impl Zeroed for ngx_event_t {}
// SAFETY: as above.
unsafe impl Zeroed for ngx_peer_connection_t {}
// SAFETY: as above.
unsafe impl Zeroed for ngx_url_t {}
// SAFETY: as above.
unsafe impl Zeroed for libc::sockaddr_in {}
// SAFETY: as above.
unsafe impl Zeroed for libc::sockaddr_in6 {}
// SAFETY: as above.
unsafe impl<const N: usize> Zeroed for [ngx_buf_t; N] {}
// SAFETY: as above.
unsafe impl<const N: usize> Zeroed for [ngx_chain_t; N] {}
