//! What an operation says besides its key and its value.

#![forbid(unsafe_code)]

use std::mem;
use std::ptr;
use std::time::Duration;

use nginx_sys::ngx_msec_t;

use crate::ffi::table::borrowed;
use crate::sys;

/// Seconds up to which memcached takes a time for one from now on.
pub(crate) const MAX_RELATIVE: u32 = 30 * 24 * 60 * 60;

/// What the header's structure says, without what is there only while it is submitted.
pub(crate) struct Params {
    number: u32,
    pub(crate) options: u32,
    pub(crate) flags: u32,
    pub(crate) ttl: u32,
    pub(crate) recache: u32,
    pub(crate) cas: u64,
    pub(crate) delta: u64,
    pub(crate) initial: u64,
    pub(crate) server: usize,
    pub(crate) timeout: ngx_msec_t,
}

impl Params {
    /// An operation with nothing set but its number.
    pub(crate) fn new(number: u32) -> Self {
        Params { number, options: 0, flags: 0, ttl: 0, recache: 0, cas: 0, delta: 0, initial: 0, server: 0, timeout: 0 }
    }

    /// The header's structure. It is good for as long as key and value are.
    pub(crate) fn op(&self, key: &[u8], value: &[u8]) -> sys::ngx_http_memcache_op_t {
        sys::ngx_http_memcache_op_t {
            size: mem::size_of::<sys::ngx_http_memcache_op_t>(),
            op: self.number,
            options: self.options,
            key: borrowed(key),
            value: borrowed(value),
            cas: self.cas,
            delta: self.delta,
            initial: self.initial,
            flags: self.flags,
            ttl: self.ttl,
            timeout: self.timeout,
            server: self.server,
            handler: None,
            data: ptr::null_mut(),
            request: ptr::null_mut(),
            recache: self.recache,
            reserved: 0,
        }
    }
}

/// A time to wait as nginx has it: 0 would be the configured one.
pub(crate) fn millis(time: Duration) -> ngx_msec_t {
    ngx_msec_t::try_from(time.as_millis()).unwrap_or(ngx_msec_t::MAX).max(1)
}
