//! The functions of the module's table, with Rust's conventions.

#![allow(unsafe_code)]

use std::ptr;

use nginx_sys::ngx_str_t;

use crate::error::Error;
use crate::nginx::conf::ConfRef;
use crate::nginx::request::RequestRef;
use crate::sys;

/// The module's function table.
#[derive(Clone, Copy)]
pub(crate) struct Table(pub(super) &'static sys::ngx_http_memcache_api_t);

impl Table {
    pub(crate) const fn new(api: &'static sys::ngx_http_memcache_api_t) -> Self {
        Table(api)
    }

    /// Has the module refuse the configuration that is being read if no server is configured where the directive is, or no
    /// cluster with this name.
    pub(crate) fn require(self, cf: ConfRef<'_>, name: Option<&str>) -> Result<(), Error> {
        // SAFETY: it is what nginx gave to the handler of a directive; the name is read before it returns.
        ok(unsafe {
            match name {
                None => self.0.require.ok_or(MISSING)?(cf.as_ptr()),
                Some(name) => self.0.require_name.ok_or(MISSING)?(cf.as_ptr(), &borrowed(name.as_bytes())),
            }
        })
    }

    /// Whether calls may be bound to a request, which has not ended. If the module does not know, they may.
    pub(crate) fn takes_calls(self, request: RequestRef<'_>) -> bool {
        // SAFETY: the request is there.
        let status = self.0.check_request.map(|function| unsafe { function(request.as_ptr()) });
        status != Some(sys::NGX_HTTP_MEMCACHE_INVALID)
    }

    /// Takes the value of a result along.
    pub(crate) fn retain(self, result: &sys::ngx_http_memcache_result_t) -> Result<Value, Error> {
        if let Some(small) = Value::small(result.value.as_bytes()) {
            return Ok(small);
        }
        let function = self.0.retain.ok_or(MISSING)?;
        let bytes = ngx_str_t { len: 0, data: ptr::null_mut() };
        let mut raw = sys::ngx_http_memcache_value_t { bytes, owner: [ptr::null_mut(); 4] };
        // SAFETY: results exist only in the handler that the module gave them to.
        ok(unsafe { function(result, &mut raw) })?;
        Ok(Value::Retained(Retained { table: self, raw }))
    }
}

/// Bytes that outlive the handler which received them.
pub(crate) enum Value {
    /// So many of these. Most values are sessions, flags and counters, which need no memory of their own.
    Small(u8, [u8; Value::SMALL]),
    Retained(Retained),
}

/// Bytes of the module.
pub(crate) struct Retained {
    table: Table,
    raw: sys::ngx_http_memcache_value_t,
}

// SAFETY: the bytes are read-only and counted without regard to threads, and the header lets release() be called on any.
unsafe impl Send for Retained {}
// SAFETY: as above.
unsafe impl Sync for Retained {}

impl Value {
    /// Values up to this many bytes are kept in place.
    pub(crate) const SMALL: usize = 118;

    fn small(bytes: &[u8]) -> Option<Self> {
        let mut place = [0; Value::SMALL];
        place.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Value::Small(u8::try_from(bytes.len()).ok()?, place))
    }

    /// The bytes. They stay where they are as long as the value does.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Value::Small(len, bytes) => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Value::Retained(retained) => retained.raw.bytes.as_bytes(),
        }
    }
}

impl Drop for Retained {
    fn drop(&mut self) {
        if let Some(function) = self.table.0.release {
            // SAFETY: the value was retained, and is released here, once.
            unsafe { function(&mut self.raw) };
        }
    }
}

pub(super) fn ok(status: u32) -> Result<(), Error> {
    match status {
        sys::NGX_HTTP_MEMCACHE_OK => Ok(()),
        status => Err(Error::from_status(status, false, b"")),
    }
}

/// A table with an empty slot is a defect of the module.
pub(super) const MISSING: Error = Error::Other(sys::NGX_HTTP_MEMCACHE_INTERNAL);

/// The bytes as nginx's string; nothing writes to it.
pub(crate) fn borrowed(bytes: &[u8]) -> ngx_str_t {
    ngx_str_t { len: bytes.len(), data: bytes.as_ptr().cast_mut() }
}
