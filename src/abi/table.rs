//! The function table. It checks and reads the arguments from C. [`Functions`] does the rest.

#![allow(unsafe_code)]

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::{ptr, slice};

use memcache_engine::CallId;
use nginx_sys::{
    ngx_conf_t, ngx_http_conf_ctx_t, ngx_http_request_t, ngx_module_t, ngx_str_t, ngx_uint_t, NGX_HTTP_MODULE,
};

use super::binding::{Binding, Calls, Unbound};
use super::callback::{delivered, Callback, Handler};
use super::operation::{self, Many, Operation};
use super::outcome::Status;
use super::pointer::{answer, checked, checked_mut};
use super::request;
use super::sys::*;
use super::{retained, sized};
use crate::nginx::conf::Conf;
use crate::nginx::guard::guard;
use crate::nginx::module::{self, Address};

type ClientPtr = *mut ngx_http_memcache_client_t;

/// A sibling's handle of a client: an address that is looked up, and never dereferenced.
pub type Handle = *const c_void;

/// The functions, with Rust types. The C function returns the error.
pub trait Functions {
    /// The module's configuration of a server block.
    type Conf: module::ServerConf;
    /// That of a location.
    type Location: module::LocationConf;
    /// The type behind a handle.
    type Target<'a>: Target;

    /// Checks that the caller may call here. Returns how many bytes of values siblings may keep.
    fn check_caller() -> Result<usize, Status>;
    /// The client of a request in this location.
    fn client_of_request(location: &Self::Location) -> Result<Handle, Status>;
    /// The client of this block, if the block is one of the worker's. `location`: the part for its locations.
    fn client_of_conf(location: Option<&Self::Location>, conf: &Self::Conf) -> Result<Handle, Status>;
    /// The client of the `memcache_cluster` of this name.
    fn client_of_name(name: &[u8]) -> Result<Handle, Status>;
    /// The client behind a handle, if it is one of this worker's.
    fn find<'a>(client: Handle) -> Result<Self::Target<'a>, Status>;
    /// The line that is being read needs a client; with a name, that of the `memcache_cluster` of this name.
    fn require(line: &mut Conf<'_>, name: Option<&[u8]>) -> Result<(), Status>;
}

/// A client, or a subset of one.
pub trait Target {
    /// The pending calls.
    fn calls(&self) -> &(dyn Calls + 'static);
    /// The largest value, in bytes.
    fn max_value(&self) -> usize;
    /// Accepts an operation.
    fn submit(&self, operation: Operation<'_>, callback: Callback) -> Result<CallId, Status>;
    /// Accepts gets of many keys.
    fn submit_many(&self, gets: &Many<'_>, callback: Callback) -> Result<CallId, Status>;
    /// How many servers it has.
    fn servers(&self) -> usize;
    /// One of them; the caller sets its size.
    fn server(&self, index: usize) -> Result<ngx_http_memcache_server_t, Status>;
    /// Takes one of them out of use, or back into it.
    fn set_enabled(&self, index: usize, enabled: bool) -> Result<(), Status>;
    /// The one that a key belongs to.
    fn server_of_key(&self, key: &[u8]) -> Result<usize, Status>;
    /// A client of some of them.
    fn subset(&self, servers: &[usize]) -> Result<Handle, Status>;
    /// The same client for a module, which may be no module.
    fn of_module(&self, module: Address) -> Result<Handle, Status>;
}

/// The table of these functions.
pub const fn table<F: Functions>() -> ngx_http_memcache_api_t {
    ngx_http_memcache_api_t {
        size: size_of::<ngx_http_memcache_api_t>(),
        client_of_request: Some(client_of_request::<F>),
        submit: Some(submit::<F>),
        cancel: Some(cancel::<F>),
        retain: Some(retain::<F>),
        release: Some(release),
        servers: Some(servers::<F>),
        server: Some(server::<F>),
        max_value: Some(max_value::<F>),
        set_enabled: Some(set_enabled::<F>),
        client_of_conf: Some(client_of_conf::<F>),
        subset: Some(subset::<F>),
        submit_many: Some(submit_many::<F>),
        server_of_key: Some(server_of_key::<F>),
        require: Some(require::<F>),
        check_request: Some(check_request::<F>),
        client_of_name: Some(client_of_name::<F>),
        require_name: Some(require_name::<F>),
        client_of_module: Some(client_of_module::<F>),
    }
}

unsafe extern "C" fn client_of_request<F: Functions>(r: *mut ngx_http_request_t, client: *mut ClientPtr) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a pointer, and a request; or NULL.
        let (client, request) = unsafe { (checked_mut(client)?, checked(r)) };
        *client = ptr::null_mut();
        F::check_caller()?;
        let request = request?;
        if request.signature != NGX_HTTP_MODULE || request.loc_conf.is_null() {
            return Err(NGX_HTTP_MEMCACHE_INVALID);
        }
        // SAFETY: a request has the configurations of its location, or else those of its server block for locations. They live
        // longer than it does.
        let conf = unsafe { module::conf::<F::Location>(request.loc_conf).map(|conf| conf.as_ref()) };
        *client = F::client_of_request(conf.ok_or(NGX_HTTP_MEMCACHE_NOT_CONFIGURED)?)?.cast_mut().cast();
        Ok(())
    })
}

unsafe extern "C" fn client_of_conf<F: Functions>(ctx: *mut ngx_http_conf_ctx_t, client: *mut ClientPtr) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a pointer, and the context of a block; or NULL.
        let (client, ctx) = unsafe { (checked_mut(client)?, checked(ctx)) };
        *client = ptr::null_mut();
        F::check_caller()?;
        let ctx = ctx?;
        // SAFETY: the context has our configurations, as it has every HTTP module's.
        let (conf, location) = unsafe {
            let conf = module::conf::<F::Conf>(ctx.srv_conf).map(|conf| conf.as_ref());
            (conf, module::conf::<F::Location>(ctx.loc_conf).map(|conf| conf.as_ref()))
        };
        *client = F::client_of_conf(location, conf.ok_or(NGX_HTTP_MEMCACHE_INVALID)?)?.cast_mut().cast();
        Ok(())
    })
}

unsafe extern "C" fn client_of_name<F: Functions>(name: *const ngx_str_t, client: *mut ClientPtr) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a pointer, and a string; or NULL.
        let (client, name) = unsafe { (checked_mut(client)?, checked(name)) };
        *client = ptr::null_mut();
        F::check_caller()?;
        // SAFETY: the string points to as many bytes as it says.
        *client = F::client_of_name(unsafe { operation::key(name?) }?)?.cast_mut().cast();
        Ok(())
    })
}

unsafe extern "C" fn subset<F: Functions>(
    client: ClientPtr,
    servers: *const ngx_uint_t,
    n: ngx_uint_t,
    subset: *mut ClientPtr,
) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a pointer, or NULL.
        let place = unsafe { checked_mut(subset) }?;
        *place = ptr::null_mut();
        let target = F::find(client.cast())?;
        if servers.is_null() || !servers.is_aligned() || n > target.servers() {
            return Err(NGX_HTTP_MEMCACHE_INVALID);
        }
        // SAFETY: the caller passes as many numbers as it says, which are no more than there are servers.
        let servers = unsafe { slice::from_raw_parts(servers, n) };
        *place = target.subset(servers)?.cast_mut().cast();
        Ok(())
    })
}

unsafe extern "C" fn client_of_module<F: Functions>(
    client: ClientPtr,
    module: *const ngx_module_t,
    tagged: *mut ClientPtr,
) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a pointer, or NULL.
        let place = unsafe { checked_mut(tagged) }?;
        *place = ptr::null_mut();
        *place = F::find(client.cast())?.of_module(Address::of(module))?.cast_mut().cast();
        Ok(())
    })
}

unsafe extern "C" fn submit<F: Functions>(
    client: ClientPtr,
    op: *const ngx_http_memcache_op_t,
    call: *mut ngx_http_memcache_call_t,
) -> Status {
    answer(|| {
        let target = F::find(client.cast())?;
        let mut place = MaybeUninit::uninit();
        // SAFETY: the caller passes an operation of the size that it says, or NULL; its strings are what they say.
        let (op, handler, operation) = unsafe {
            let op = sized::read(op, &mut place)?;
            (op, op.handler.ok_or(NGX_HTTP_MEMCACHE_INVALID)?, operation::read(op, target.max_value())?)
        };
        let callback = Callback::new(Handler::One(handler), op.data);
        let binding = Binding { cancels: cancels(op.options), operations: 1, reads: operation.reads() };
        // SAFETY: the caller passes a request or NULL, and a place for the number or NULL.
        unsafe {
            accept(target.calls(), callback, op.request, binding, call, |callback| target.submit(operation, callback))
        }
    })
}

unsafe extern "C" fn submit_many<F: Functions>(
    client: ClientPtr,
    many: *const ngx_http_memcache_many_t,
    call: *mut ngx_http_memcache_call_t,
) -> Status {
    answer(|| {
        let target = F::find(client.cast())?;
        let mut place = MaybeUninit::uninit();
        // SAFETY: the caller passes a structure of the size that it says, or NULL; its list and strings are what they say.
        let (many, handler, gets) = unsafe {
            let many = sized::read(many, &mut place)?;
            (many, many.handler.ok_or(NGX_HTTP_MEMCACHE_INVALID)?, Many::read(many)?)
        };
        let callback = Callback::new(Handler::Many(handler), many.data);
        let binding = Binding { cancels: cancels(many.options), operations: many.nkeys, reads: true };
        // SAFETY: the caller passes a request or NULL, and a place for the number or NULL.
        unsafe {
            accept(target.calls(), callback, many.request, binding, call, |callback| {
                target.submit_many(&gets, callback)
            })
        }
    })
}

/// Whether the end of the request cancels the operation.
fn cancels(options: u32) -> bool {
    options & NGX_HTTP_MEMCACHE_COUNT == 0
}

/// Binds a callback to its request, submits with it, and stores the number of the call.
///
/// # Safety
///
/// `request` and `call` are NULL, or point to a request and to a place for a number.
unsafe fn accept(
    calls: &(dyn Calls + 'static),
    mut callback: Callback,
    request: *mut ngx_http_request_t,
    binding: Binding,
    call: *mut ngx_http_memcache_call_t,
    submit: impl FnOnce(Callback) -> Result<CallId, Status>,
) -> Result<(), Status> {
    if !call.is_aligned() {
        return Err(NGX_HTTP_MEMCACHE_INVALID);
    }
    if !request.is_null() {
        // SAFETY: by the contract.
        unsafe { callback.bind(request, calls, binding) }?;
    }
    let note = callback.note();
    let id = submit(callback);
    note(&id);
    let id = id?;
    if !call.is_null() {
        // SAFETY: by the contract; its alignment was checked.
        unsafe { call.write(id.to_u64()) };
    }
    Ok(())
}

unsafe extern "C" fn cancel<F: Functions>(client: ClientPtr, call: ngx_http_memcache_call_t) -> Status {
    answer(|| {
        let was_there = F::find(client.cast())?.calls().cancel(CallId::from_u64(call));
        was_there.then_some(()).ok_or(NGX_HTTP_MEMCACHE_STALE)
    })
}

unsafe extern "C" fn retain<F: Functions>(
    result: *const ngx_http_memcache_result_t,
    value: *mut ngx_http_memcache_value_t,
) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a value, or NULL.
        let value = unsafe { checked_mut(value) }?;
        let bound = F::check_caller()?;
        *value = retained::keep(delivered(result).ok_or(NGX_HTTP_MEMCACHE_STALE)?, bound)?;
        Ok(())
    })
}

unsafe extern "C" fn release(value: *mut ngx_http_memcache_value_t) {
    guard((), || {
        // SAFETY: the caller passes a value that it has got from `retain` or that is zero, or NULL.
        if let Ok(value) = unsafe { checked_mut(value) } {
            // SAFETY: as above.
            unsafe { retained::release(value) };
        }
    });
}

unsafe extern "C" fn servers<F: Functions>(client: ClientPtr) -> ngx_uint_t {
    guard(0, || F::find(client.cast()).map_or(0, |target| target.servers()))
}

unsafe extern "C" fn server<F: Functions>(
    client: ClientPtr,
    index: ngx_uint_t,
    server: *mut ngx_http_memcache_server_t,
) -> Status {
    answer(|| {
        let target = F::find(client.cast())?;
        // SAFETY: the caller passes a place for a server of the size that it says, or NULL.
        let size = unsafe { sized::check(server) }?;
        let now = ngx_http_memcache_server_t { size, ..target.server(index)? };
        // SAFETY: it is the place that was checked.
        unsafe { sized::write(server, &now) };
        Ok(())
    })
}

unsafe extern "C" fn max_value<F: Functions>(client: ClientPtr) -> usize {
    guard(0, || F::find(client.cast()).map_or(0, |target| target.max_value()))
}

unsafe extern "C" fn set_enabled<F: Functions>(client: ClientPtr, index: ngx_uint_t, enabled: ngx_uint_t) -> Status {
    answer(|| F::find(client.cast())?.set_enabled(index, enabled != 0))
}

unsafe extern "C" fn server_of_key<F: Functions>(
    client: ClientPtr,
    key: *const ngx_str_t,
    index: *mut ngx_uint_t,
) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a number and a string, or NULL; the string is what it says.
        let (index, key) = unsafe { (checked_mut(index)?, operation::key(checked(key)?)?) };
        *index = F::find(client.cast())?.server_of_key(key)?;
        Ok(())
    })
}

/// It runs in the master and needs no worker.
unsafe extern "C" fn require<F: Functions>(cf: *mut ngx_conf_t) -> Status {
    answer(|| {
        // SAFETY: the caller passes what nginx has given to the handler of a directive, or NULL; nothing else refers to it
        // while a line is read.
        let line = unsafe { checked(cf).map(|_| Conf::new(cf)) }?;
        F::require(&mut line.ok_or(NGX_HTTP_MEMCACHE_INVALID)?, None)
    })
}

unsafe extern "C" fn require_name<F: Functions>(cf: *mut ngx_conf_t, name: *const ngx_str_t) -> Status {
    answer(|| {
        // SAFETY: as in `require`; the string points to as many bytes as it says.
        let (line, name) = unsafe { (checked(cf).map(|_| Conf::new(cf))?, operation::key(checked(name)?)?) };
        F::require(&mut line.ok_or(NGX_HTTP_MEMCACHE_INVALID)?, Some(name))
    })
}

unsafe extern "C" fn check_request<F: Functions>(r: *mut ngx_http_request_t) -> Status {
    answer(|| {
        F::check_caller()?;
        // SAFETY: the caller passes a request, or NULL.
        Ok(unsafe { request::check(ptr::from_ref(checked(r)?).cast_mut()) }?)
    })
}

impl From<Unbound> for Status {
    fn from(unbound: Unbound) -> Status {
        match unbound {
            Unbound::NotARequest => NGX_HTTP_MEMCACHE_INVALID,
            Unbound::NoMemory => NGX_HTTP_MEMCACHE_NO_MEMORY,
        }
    }
}
