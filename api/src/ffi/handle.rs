//! A client of the module.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem;
use std::ptr::{self, NonNull};

use nginx_sys::{ngx_conf_t, ngx_http_conf_ctx_t, ngx_http_request_t, ngx_module_t};
use ngx::http::Request;

use super::table::{borrowed, ok, Table, MISSING};
use crate::error::Error;
use crate::nginx::conf::ConfRef;
use crate::sys;

/// A client of the module: shared by everything in the worker that uses the same servers.
///
/// Invariant: it is of this table, and its configuration is in use. Whoever holds one is in a request, which keeps its
/// configuration, or has promised to hold it no longer than the configuration. Of another one the module says that it is
/// stale: it looks handles up, and does not follow them.
#[derive(Clone, Copy)]
pub(crate) struct Handle {
    table: Table,
    client: NonNull<sys::ngx_http_memcache_client_t>,
}

impl Handle {
    /// The client of a request.
    pub(crate) fn of_request(table: Table, request: &Request) -> Result<Self, Error> {
        let function = table.0.client_of_request.ok_or(MISSING)?;
        let request: *const ngx_http_request_t = request.into();
        // SAFETY: there is a reference to the request; the module only looks at its configuration.
        Handle::of(table, |client| unsafe { function(request.cast_mut(), client) })
    }

    /// The client of a block.
    pub(crate) fn of_block(table: Table, block: Block) -> Result<Self, Error> {
        let function = table.0.client_of_conf.ok_or(MISSING)?;
        // SAFETY: who made the block promised that it is used only while its configuration is there.
        Handle::of(table, |client| unsafe { function(block.0.as_ptr(), client) })
    }

    /// The client of a named cluster.
    pub(crate) fn of_name(table: Table, name: &[u8]) -> Result<Self, Error> {
        let function = table.0.client_of_name.ok_or(MISSING)?;
        // SAFETY: the name is read before it returns.
        Handle::of(table, |client| unsafe { function(&borrowed(name), client) })
    }

    /// The client that a function of the table finds.
    fn of(table: Table, find: impl FnOnce(&mut *mut sys::ngx_http_memcache_client_t) -> u32) -> Result<Self, Error> {
        let mut client = ptr::null_mut();
        ok(find(&mut client))?;
        Ok(Handle { table, client: NonNull::new(client).ok_or(Error::NotAvailable)? })
    }

    #[cfg(test)]
    pub(crate) fn of_test(table: Table) -> Self {
        Handle { table, client: NonNull::dangling() }
    }

    /// The functions that it is for.
    pub(crate) fn table(self) -> Table {
        self.table
    }

    /// What the module knows it by.
    pub(crate) fn as_ptr(self) -> NonNull<sys::ngx_http_memcache_client_t> {
        self.client
    }

    /// A client of some of the servers.
    pub(crate) fn subset(self, servers: &[usize]) -> Result<Self, Error> {
        let function = self.table.0.subset.ok_or(MISSING)?;
        let mut subset = ptr::null_mut();
        // SAFETY: by the invariant; the list is read before it returns.
        ok(unsafe { function(self.client.as_ptr(), servers.as_ptr(), servers.len(), &mut subset) })?;
        Ok(Handle { client: NonNull::new(subset).ok_or(MISSING)?, ..self })
    }

    /// The same client for a module.
    pub(crate) fn of_module(self, module: *const ngx_module_t) -> Result<Self, Error> {
        let function = self.table.0.client_of_module.ok_or(MISSING)?;
        let mut tagged = ptr::null_mut();
        // SAFETY: by the invariant; the address is compared with those of nginx's modules, and is not followed.
        ok(unsafe { function(self.client.as_ptr(), module, &mut tagged) })?;
        Ok(Handle { client: NonNull::new(tagged).ok_or(MISSING)?, ..self })
    }

    /// The server that a key belongs to.
    pub(crate) fn server_of_key(self, key: &[u8]) -> Result<usize, Error> {
        let function = self.table.0.server_of_key.ok_or(MISSING)?;
        let mut index = 0;
        // SAFETY: by the invariant; the key is read before it returns.
        ok(unsafe { function(self.client.as_ptr(), &borrowed(key), &mut index) })
            .map_err(|error| error.of_key(key.len()))?;
        Ok(index)
    }

    /// Submits an operation whose answer nobody waits for.
    pub(crate) fn submit_and_forget(self, op: &mut sys::ngx_http_memcache_op_t) -> Result<(), Error> {
        op.handler = Some(ignored);
        // SAFETY: the handler needs no data.
        unsafe { self.submit(op) }.map(|_call| ())
    }

    /// # Safety
    ///
    /// `op.data` is what `op.handler` expects, until the handler has run or the call was cancelled.
    pub(crate) unsafe fn submit(self, op: &sys::ngx_http_memcache_op_t) -> Result<u64, Error> {
        let function = self.table.0.submit.ok_or(MISSING)?;
        let mut call = 0;
        // SAFETY: by the invariant, and guaranteed by the caller; key and value are read before it returns.
        ok(unsafe { function(self.client.as_ptr(), op, &mut call) }).map_err(|error| error.of_key(op.key.len))?;
        Ok(call)
    }

    /// # Safety
    ///
    /// As of [`submit`](Handle::submit).
    pub(crate) unsafe fn submit_many(self, many: &sys::ngx_http_memcache_many_t) -> Result<u64, Error> {
        let function = self.table.0.submit_many.ok_or(MISSING)?;
        let mut call = 0;
        // SAFETY: by the invariant, and guaranteed by the caller; the keys are read before it returns.
        ok(unsafe { function(self.client.as_ptr(), many, &mut call) })?;
        Ok(call)
    }

    /// After this the call's handler does not run.
    pub(crate) fn cancel(self, call: u64) {
        if let Some(function) = self.table.0.cancel {
            // SAFETY: by the invariant; a call that has ended is refused by the module.
            unsafe { function(self.client.as_ptr(), call) };
        }
    }

    /// How many servers it has.
    pub(crate) fn servers(self) -> usize {
        // SAFETY: by the invariant.
        self.table.0.servers.map_or(0, |function| unsafe { function(self.client.as_ptr()) })
    }

    /// One of them.
    pub(crate) fn server(self, index: usize) -> Option<sys::ngx_http_memcache_server_t> {
        // SAFETY: a structure of numbers and an ngx_str_t, for which zero is good.
        let mut server: sys::ngx_http_memcache_server_t = unsafe { mem::zeroed() };
        server.size = mem::size_of_val(&server);
        // SAFETY: by the invariant.
        ok(unsafe { self.table.0.server?(self.client.as_ptr(), index, &mut server) }).ok()?;
        Some(server)
    }

    /// Takes one of them out of use, or back into it.
    pub(crate) fn set_enabled(self, index: usize, enabled: bool) -> Result<(), Error> {
        let function = self.table.0.set_enabled.ok_or(MISSING)?;
        // SAFETY: by the invariant.
        ok(unsafe { function(self.client.as_ptr(), index, enabled.into()) })
    }

    /// The largest value, in bytes.
    pub(crate) fn max_value(self) -> usize {
        // SAFETY: by the invariant.
        self.table.0.max_value.map_or(0, |function| unsafe { function(self.client.as_ptr()) })
    }
}

/// The handler of calls that nobody waits for.
unsafe extern "C" fn ignored(_data: *mut c_void, _result: *const sys::ngx_http_memcache_result_t) {}

/// A block of the configuration, `http` or `server`, whose client [`Client::from_block`](crate::Client::from_block) finds. Keep it in the
/// configuration of your module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block(NonNull<ngx_http_conf_ctx_t>);

impl Block {
    /// The block that is being read. A location counts as its server block; in postconfiguration this is the `http`
    /// block. `None`: `cf` is not of a block of HTTP.
    ///
    /// # Safety
    ///
    /// `cf` is what nginx gave to the caller, a handler of a directive in `http` or in a block of it, or a function of
    /// the module's `ngx_http_module_t`. The block is not used when its configuration is gone: keep it there.
    pub unsafe fn of_conf(cf: *const ngx_conf_t) -> Option<Self> {
        // SAFETY: guaranteed by the caller.
        unsafe { ConfRef::new(cf) }?.block().map(Block)
    }
}
