//! The functions of the module's table, with Rust's conventions.

use std::mem;
use std::ptr::{self, NonNull};

use nginx_sys::{ngx_conf_t, ngx_http_conf_ctx_t, ngx_http_request_t, ngx_str_t};

use crate::error::Error;
use crate::sys;

/// The module's function table.
#[derive(Clone, Copy)]
pub(crate) struct Table(&'static sys::ngx_http_memcache_api_t);

/// The module's client: shared by everything in the worker that uses the same servers.
pub(crate) type Handle = NonNull<sys::ngx_http_memcache_client_t>;

impl Table {
    pub(crate) const fn new(api: &'static sys::ngx_http_memcache_api_t) -> Self {
        Table(api)
    }

    /// # Safety
    ///
    /// `cf` is what nginx gave to the handler of a directive.
    pub(crate) unsafe fn require(self, cf: *mut ngx_conf_t) -> Result<(), Error> {
        let function = self.0.require.ok_or(MISSING)?;
        // SAFETY: guaranteed by the caller.
        ok(unsafe { function(cf) })
    }

    /// # Safety
    ///
    /// `request` is alive.
    pub(crate) unsafe fn client_of_request(self, request: *mut ngx_http_request_t) -> Result<Handle, Error> {
        let function = self.0.client_of_request.ok_or(MISSING)?;
        let mut client = ptr::null_mut();
        // SAFETY: the request is alive, says the caller.
        ok(unsafe { function(request, &mut client) })?;
        NonNull::new(client).ok_or(Error::NotAvailable)
    }

    /// Whether calls may be bound to a request, which has not ended. If the module does not know, they may.
    ///
    /// # Safety
    ///
    /// `request` is alive.
    pub(crate) unsafe fn takes_calls(self, request: *mut ngx_http_request_t) -> bool {
        // SAFETY: the request is alive, says the caller.
        let status = self.0.check_request.map(|function| unsafe { function(request) });
        status != Some(sys::NGX_HTTP_MEMCACHE_INVALID)
    }

    /// # Safety
    ///
    /// `block` is the context of a block of a configuration that is there.
    pub(crate) unsafe fn client_of_conf(self, block: NonNull<ngx_http_conf_ctx_t>) -> Result<Handle, Error> {
        let function = self.0.client_of_conf.ok_or(MISSING)?;
        let mut client = ptr::null_mut();
        // SAFETY: guaranteed by the caller.
        ok(unsafe { function(block.as_ptr(), &mut client) })?;
        NonNull::new(client).ok_or(Error::NotAvailable)
    }

    /// # Safety
    ///
    /// As of [`cancel`](Table::cancel).
    pub(crate) unsafe fn subset(self, client: Handle, servers: &[usize]) -> Result<Handle, Error> {
        let function = self.0.subset.ok_or(MISSING)?;
        let mut subset = ptr::null_mut();
        // SAFETY: guaranteed by the caller.
        ok(unsafe { function(client.as_ptr(), servers.as_ptr(), servers.len(), &mut subset) })?;
        NonNull::new(subset).ok_or(MISSING)
    }

    /// # Safety
    ///
    /// As of [`cancel`](Table::cancel).
    pub(crate) unsafe fn server_of_key(self, client: Handle, key: &[u8]) -> Result<usize, Error> {
        let function = self.0.server_of_key.ok_or(MISSING)?;
        let mut index = 0;
        // SAFETY: guaranteed by the caller.
        ok(unsafe { function(client.as_ptr(), &borrowed(key), &mut index) })?;
        Ok(index)
    }

    /// # Safety
    ///
    /// `client` is of this table and its configuration is in use. `op.data` is what `op.handler` expects, until the
    /// handler has run or the call was cancelled.
    pub(crate) unsafe fn submit(self, client: Handle, op: &sys::ngx_http_memcache_op_t) -> Result<u64, Error> {
        let function = self.0.submit.ok_or(MISSING)?;
        let mut call = 0;
        // SAFETY: guaranteed by the caller; key and value are read before it returns.
        ok(unsafe { function(client.as_ptr(), op, &mut call) })?;
        Ok(call)
    }

    /// # Safety
    ///
    /// As of [`submit`](Table::submit).
    pub(crate) unsafe fn submit_many(self, client: Handle, many: &sys::ngx_http_memcache_many_t) -> Result<u64, Error> {
        let function = self.0.submit_many.ok_or(MISSING)?;
        let mut call = 0;
        // SAFETY: guaranteed by the caller; the keys are read before it returns.
        ok(unsafe { function(client.as_ptr(), many, &mut call) })?;
        Ok(call)
    }

    /// After this the call's handler does not run.
    ///
    /// # Safety
    ///
    /// `client` is of this table and its configuration is in use.
    pub(crate) unsafe fn cancel(self, client: Handle, call: u64) {
        if let Some(function) = self.0.cancel {
            // SAFETY: guaranteed by the caller; a call that has ended is refused by the module.
            unsafe { function(client.as_ptr(), call) };
        }
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

    /// # Safety
    ///
    /// As of [`cancel`](Table::cancel).
    pub(crate) unsafe fn servers(self, client: Handle) -> usize {
        // SAFETY: guaranteed by the caller.
        self.0.servers.map_or(0, |function| unsafe { function(client.as_ptr()) })
    }

    /// # Safety
    ///
    /// As of [`cancel`](Table::cancel).
    pub(crate) unsafe fn server(self, client: Handle, index: usize) -> Option<sys::ngx_http_memcache_server_t> {
        // SAFETY: a structure of numbers and an ngx_str_t, for which zero is good.
        let mut server: sys::ngx_http_memcache_server_t = unsafe { mem::zeroed() };
        server.size = mem::size_of_val(&server);
        // SAFETY: guaranteed by the caller.
        ok(unsafe { self.0.server?(client.as_ptr(), index, &mut server) }).ok()?;
        Some(server)
    }

    /// # Safety
    ///
    /// As of [`cancel`](Table::cancel).
    pub(crate) unsafe fn set_enabled(self, client: Handle, index: usize, enabled: bool) -> Result<(), Error> {
        let function = self.0.set_enabled.ok_or(MISSING)?;
        // SAFETY: guaranteed by the caller.
        ok(unsafe { function(client.as_ptr(), index, enabled.into()) })
    }

    /// # Safety
    ///
    /// As of [`cancel`](Table::cancel).
    pub(crate) unsafe fn max_value(self, client: Handle) -> usize {
        // SAFETY: guaranteed by the caller.
        self.0.max_value.map_or(0, |function| unsafe { function(client.as_ptr()) })
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

fn ok(status: u32) -> Result<(), Error> {
    match status {
        sys::NGX_HTTP_MEMCACHE_OK => Ok(()),
        status => Err(Error::from_status(status, false, b"")),
    }
}

/// A table with an empty slot is a defect of the module.
const MISSING: Error = Error::Other(sys::NGX_HTTP_MEMCACHE_INTERNAL);

/// The bytes as nginx's string; nothing writes to it.
pub(crate) fn borrowed(bytes: &[u8]) -> ngx_str_t {
    ngx_str_t { len: bytes.len(), data: bytes.as_ptr().cast_mut() }
}
