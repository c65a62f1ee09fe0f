//! The function table of `include/ngx_http_memcache.h`.
//!
//! Whoever calls may be wrong. Pointers are checked for NULL and alignment, structures for their size; a client is
//! looked up among those that there are before it is used. A sibling can still crash the worker by a pointer to
//! something else than it promises, as any code in the process can.

#![allow(unsafe_code)]

mod callback;
mod operation;
mod outcome;
mod request;
mod require;
mod retained;
mod sized;
pub mod stats;

use core::ffi::c_void;
use core::mem::{self, MaybeUninit};
use core::{ptr, slice};

use bytes::Bytes;
use memcache_engine::{CallId, Error, ServerId, State, Subset, SubsetError, MAX_SUBSETS};
use nginx_sys::{ngx_http_conf_ctx_t, ngx_http_request_t, ngx_str_t, ngx_uint_t, NGX_HTTP_MODULE};

pub use self::callback::Callback;
use self::callback::{delivered, Handler};
use self::operation::{Many, Operation};
use self::outcome::status_of;
pub use self::request::{stats_of, watch_ends};
use self::request::{Binding, Unbound};
pub use self::retained::{numbers as retained, DEFAULT as MAX_RETAINED};
use crate::cluster::{Cluster, Clusters};
use crate::conf::block::ServerConf;
use crate::driver::{Driver, Refused};
use crate::nginx::guard::guard;
use crate::nginx::module;
use crate::nginx::process::on_event_loop;
use crate::sys::*;
use crate::worker;

type Status = ngx_http_memcache_status_t;
type ClientPtr = *mut ngx_http_memcache_client_t;

const _: () = assert!(NGX_HTTP_MEMCACHE_MAX_SUBSETS as usize == MAX_SUBSETS);

/// The table.
pub static API: ngx_http_memcache_api_t = ngx_http_memcache_api_t {
    size: size_of::<ngx_http_memcache_api_t>(),
    client_of_request: Some(client_of_request),
    submit: Some(submit),
    cancel: Some(cancel),
    retain: Some(retain),
    release: Some(release),
    servers: Some(servers),
    server: Some(server),
    max_value: Some(max_value),
    set_enabled: Some(set_enabled),
    client_of_conf: Some(client_of_conf),
    subset: Some(subset),
    submit_many: Some(submit_many),
    server_of_key: Some(server_of_key),
    require: Some(require::require),
    check_request: Some(check_request),
};

unsafe extern "C" fn client_of_request(r: *mut ngx_http_request_t, client: *mut ClientPtr) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a pointer, or NULL.
        let client = unsafe { checked_mut(client) }?;
        *client = ptr::null_mut();
        check_caller()?;
        // SAFETY: the caller passes a request, or NULL.
        let request = unsafe { checked(r) }?;
        if request.signature != NGX_HTTP_MODULE || request.srv_conf.is_null() {
            return Err(NGX_HTTP_MEMCACHE_INVALID);
        }
        // SAFETY: a request has the configurations of its server block, and ours was made by `create_srv_conf`.
        let conf = unsafe { module::conf::<ServerConf>(request.srv_conf).map(|conf| conf.as_ref()) };
        let cluster = conf.and_then(|conf| conf.cluster.as_deref()).ok_or(NGX_HTTP_MEMCACHE_NOT_CONFIGURED)?;
        *client = start(cluster)?;
        Ok(())
    })
}

unsafe extern "C" fn client_of_conf(ctx: *mut ngx_http_conf_ctx_t, client: *mut ClientPtr) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a pointer, or NULL.
        let client = unsafe { checked_mut(client) }?;
        *client = ptr::null_mut();
        let clusters = check_caller()?;
        // SAFETY: the caller passes the context of a block, or NULL; it has ours as it has every HTTP module's.
        let conf = unsafe { module::conf::<ServerConf>(checked(ctx)?.srv_conf) }.ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        // SAFETY: as above, it is there as long as the context.
        let conf = unsafe { conf.as_ref() };
        let cluster = conf.cluster.as_ref().ok_or(NGX_HTTP_MEMCACHE_NOT_CONFIGURED)?;
        if !clusters.contains(cluster) {
            return Err(NGX_HTTP_MEMCACHE_STALE);
        }
        *client = start(cluster)?;
        Ok(())
    })
}

unsafe extern "C" fn subset(
    client: ClientPtr,
    servers: *const ngx_uint_t,
    n: ngx_uint_t,
    subset: *mut ClientPtr,
) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a pointer, or NULL.
        let place = unsafe { checked_mut(subset) }?;
        *place = ptr::null_mut();
        let target = find(client)?;
        if servers.is_null() || !servers.is_aligned() || n > target.servers() {
            return Err(NGX_HTTP_MEMCACHE_INVALID);
        }
        // SAFETY: the caller passes as many numbers as it says, which are no more than there are servers.
        let servers = unsafe { slice::from_raw_parts(servers, n) };
        let subset = target.driver.subset(target.subset, servers).ok_or(NGX_HTTP_MEMCACHE_INTERNAL)?;
        let subset = subset.map_err(|error| match error {
            SubsetError::Servers => NGX_HTTP_MEMCACHE_INVALID,
            SubsetError::TooMany => NGX_HTTP_MEMCACHE_TOO_MANY,
        })?;
        *place = handle(target.cluster, subset)?;
        Ok(())
    })
}

unsafe extern "C" fn submit(
    client: ClientPtr,
    op: *const ngx_http_memcache_op_t,
    call: *mut ngx_http_memcache_call_t,
) -> Status {
    answer(|| {
        let target = find(client)?;
        let mut place = MaybeUninit::uninit();
        // SAFETY: the caller passes an operation of the size that it says, or NULL.
        let op = unsafe { sized::read(op, &mut place) }?;
        let handler = op.handler.ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        // SAFETY: the caller's strings are what they say.
        let operation = unsafe { operation::read(op, target.cluster.config.max_value) }?;
        let callback = Callback::new(Handler::One(handler), op.data);
        let binding = Binding { cancels: cancels(op.options), operations: 1, reads: operation.reads() };
        // SAFETY: the caller passes a request or NULL, and a place for the number or NULL.
        unsafe {
            accept(target.driver, callback, op.request, binding, call, |callback| match operation {
                Operation::Keyed(request) => target.driver.submit(target.subset, request, callback),
                Operation::OnServer { server, verb, timeout } => {
                    let server = target.server(server).unwrap_or(ServerId::MAX);
                    target.driver.submit_to(server, verb, timeout, callback)
                }
            })
        }
    })
}

unsafe extern "C" fn submit_many(
    client: ClientPtr,
    many: *const ngx_http_memcache_many_t,
    call: *mut ngx_http_memcache_call_t,
) -> Status {
    answer(|| {
        let target = find(client)?;
        let mut place = MaybeUninit::uninit();
        // SAFETY: the caller passes a structure of the size that it says, or NULL.
        let many = unsafe { sized::read(many, &mut place) }?;
        let handler = many.handler.ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        // SAFETY: the caller's list and its strings are what they say.
        let gets = unsafe { Many::read(many) }?;
        let callback = Callback::new(Handler::Many(handler), many.data);
        let binding = Binding { cancels: cancels(many.options), operations: many.nkeys, reads: true };
        // SAFETY: the caller passes a request or NULL, and a place for the number or NULL.
        unsafe {
            accept(target.driver, callback, many.request, binding, call, |callback| {
                target.driver.submit_many(target.subset, gets.keys(), gets.touch, gets.timeout, callback)
            })
        }
    })
}

/// Whether the end of the request takes the operation back.
fn cancels(options: u32) -> bool {
    options & NGX_HTTP_MEMCACHE_COUNT == 0
}

/// Binds a callback to its request, submits with it, and says which call it is.
///
/// # Safety
///
/// `request` and `call` are NULL, or point to a request and to a place for a number.
unsafe fn accept(
    driver: &Driver,
    mut callback: Callback,
    request: *mut ngx_http_request_t,
    binding: Binding,
    call: *mut ngx_http_memcache_call_t,
    submit: impl FnOnce(Callback) -> Result<CallId, Refused>,
) -> Result<(), Status> {
    if !call.is_aligned() {
        return Err(NGX_HTTP_MEMCACHE_INVALID);
    }
    if !request.is_null() {
        // SAFETY: by the contract.
        unsafe { callback.bind(request, driver, binding) }?;
    }
    let note = callback.note();
    let id = submit(callback).map_err(|refused| match refused {
        Refused::Client(error) => status_of(&error),
        Refused::InUse => NGX_HTTP_MEMCACHE_INTERNAL,
    });
    note(&id);
    let id = id?;
    if !call.is_null() {
        // SAFETY: by the contract; its alignment was checked.
        unsafe { call.write(id.to_u64()) };
    }
    Ok(())
}

unsafe extern "C" fn cancel(client: ClientPtr, call: ngx_http_memcache_call_t) -> Status {
    answer(|| find(client)?.driver.cancel(CallId::from_u64(call)).map(drop).ok_or(NGX_HTTP_MEMCACHE_STALE))
}

unsafe extern "C" fn retain(
    result: *const ngx_http_memcache_result_t,
    value: *mut ngx_http_memcache_value_t,
) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a value, or NULL.
        let value = unsafe { checked_mut(value) }?;
        let clusters = check_caller()?;
        let bytes = delivered(result).ok_or(NGX_HTTP_MEMCACHE_STALE)?;
        if !retained::keep(bytes.len(), clusters.max_retained()) {
            return Err(NGX_HTTP_MEMCACHE_RETAIN_LIMIT);
        }
        value.bytes = ngx_str_t { len: bytes.len(), data: bytes.as_ptr().cast_mut() };
        value.owner = owner_of(bytes);
        Ok(())
    })
}

unsafe extern "C" fn release(value: *mut ngx_http_memcache_value_t) {
    guard((), || {
        // SAFETY: the caller passes a value, or NULL.
        let Ok(value) = (unsafe { checked_mut(value) }) else { return };
        let owner = mem::replace(&mut value.owner, [ptr::null_mut(); 4]);
        value.bytes = ngx_str_t::empty();
        if owner != [ptr::null_mut(); 4] {
            // SAFETY: what is not empty was filled by `retain`, and was emptied just now, so this happens once.
            let bytes = unsafe { bytes_of(owner) };
            let len = bytes.len();
            drop(bytes);
            retained::give_back(len);
        }
    });
}

unsafe extern "C" fn servers(client: ClientPtr) -> ngx_uint_t {
    guard(0, || find(client).map_or(0, |target| target.servers()))
}

unsafe extern "C" fn server(client: ClientPtr, index: ngx_uint_t, server: *mut ngx_http_memcache_server_t) -> Status {
    answer(|| {
        let target = find(client)?;
        // SAFETY: the caller passes a place for a server of the size that it says, or NULL.
        let size = unsafe { sized::check(server) }?;
        let id = target.server(index).ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        // That of the configuration stays where it is.
        let name = &target.cluster.config.servers.get(id).ok_or(NGX_HTTP_MEMCACHE_INVALID)?.name;
        let now = target
            .driver
            .view(|client| {
                let view = client.server(id)?;
                let pool = view.config.pool;
                Some(ngx_http_memcache_server_t {
                    size,
                    address: ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() },
                    state: match view.state {
                        State::Live => NGX_HTTP_MEMCACHE_STATE_LIVE,
                        State::Down => NGX_HTTP_MEMCACHE_STATE_DOWN,
                        State::Disabled => NGX_HTTP_MEMCACHE_STATE_DISABLED,
                    },
                    weight: view.config.weight,
                    min: pool.min(),
                    smax: pool.smax(),
                    max: pool.max(),
                    ttl: pool.ttl(),
                    open: count(view.open),
                    idle: count(view.idle),
                    pending: count(view.pending),
                    queued: count(view.queued),
                })
            })
            .flatten()
            .ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        // SAFETY: it is the place that was checked.
        unsafe { sized::write(server, &now) };
        Ok(())
    })
}

unsafe extern "C" fn max_value(client: ClientPtr) -> usize {
    guard(0, || find(client).map_or(0, |target| target.cluster.config.max_value))
}

unsafe extern "C" fn set_enabled(client: ClientPtr, index: ngx_uint_t, enabled: ngx_uint_t) -> Status {
    answer(|| {
        let target = find(client)?;
        let id = target.server(index).ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        match target.driver.set_enabled(id, enabled != 0) {
            Some(true) => Ok(()),
            Some(false) => Err(NGX_HTTP_MEMCACHE_INVALID),
            None => Err(NGX_HTTP_MEMCACHE_INTERNAL),
        }
    })
}

unsafe extern "C" fn server_of_key(client: ClientPtr, key: *const ngx_str_t, index: *mut ngx_uint_t) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a number and a string, or NULL; the string is what it says.
        let (index, key) = unsafe { (checked_mut(index)?, operation::key(checked(key)?)?) };
        let target = find(client)?;
        let found = target.driver.view(|client| {
            let id = client.server_within(target.subset, key)?;
            Ok(client.servers_of(target.subset).iter().position(|&server| server == id))
        });
        let found = found.ok_or(NGX_HTTP_MEMCACHE_INTERNAL)?.map_err(|error: Error| status_of(&error))?;
        *index = found.ok_or(NGX_HTTP_MEMCACHE_INTERNAL)?;
        Ok(())
    })
}

unsafe extern "C" fn check_request(r: *mut ngx_http_request_t) -> Status {
    answer(|| {
        check_caller()?;
        // SAFETY: the caller passes a request, or NULL.
        Ok(unsafe { request::check(ptr::from_ref(checked(r)?).cast_mut()) }?)
    })
}

/* what the functions share */

impl From<Unbound> for Status {
    fn from(unbound: Unbound) -> Status {
        match unbound {
            Unbound::NotARequest => NGX_HTTP_MEMCACHE_INVALID,
            Unbound::NoMemory => NGX_HTTP_MEMCACHE_NO_MEMORY,
        }
    }
}

/// The status that a call returns.
fn answer(call: impl FnOnce() -> Result<(), Status>) -> Status {
    guard(NGX_HTTP_MEMCACHE_INTERNAL, || call().err().unwrap_or(NGX_HTTP_MEMCACHE_OK))
}

/// The worker's clusters, if this is a worker and its event loop's thread.
fn check_caller<'a>() -> Result<&'a Clusters, Status> {
    let clusters = worker::clusters().map_err(|_| NGX_HTTP_MEMCACHE_NOT_AVAILABLE)?;
    if on_event_loop() {
        Ok(clusters)
    } else {
        Err(NGX_HTTP_MEMCACHE_WRONG_THREAD)
    }
}

/// What a handle stands for.
struct Target<'a> {
    cluster: &'a Cluster,
    driver: &'a Driver,
    subset: Subset,
}

impl Target<'_> {
    /// How many servers it has.
    fn servers(&self) -> usize {
        self.driver.view(|client| client.servers_of(self.subset).len()).unwrap_or(0)
    }

    /// The one with this number.
    fn server(&self, index: usize) -> Option<ServerId> {
        self.driver.view(|client| client.servers_of(self.subset).get(index).copied()).flatten()
    }
}

/// What is behind a handle, if it is one of this worker's: it is looked up, and not followed.
fn find<'a>(client: ClientPtr) -> Result<Target<'a>, Status> {
    let clusters = check_caller()?;
    if client.is_null() {
        return Err(NGX_HTTP_MEMCACHE_INVALID);
    }
    let (cluster, subset) = clusters.find(client.cast()).ok_or(NGX_HTTP_MEMCACHE_STALE)?;
    let driver = cluster.running().ok_or(NGX_HTTP_MEMCACHE_NOT_AVAILABLE)?;
    let target = Target { cluster, driver, subset };
    if subset != Subset::ALL && target.servers() == 0 {
        return Err(NGX_HTTP_MEMCACHE_STALE);
    }
    Ok(target)
}

/// The handle of a cluster's client, which begins to work if it has not.
fn start(cluster: &Cluster) -> Result<ClientPtr, Status> {
    cluster.driver().map_err(|_| NGX_HTTP_MEMCACHE_NOT_AVAILABLE)?;
    handle(cluster, Subset::ALL)
}

fn handle(cluster: &Cluster, subset: Subset) -> Result<ClientPtr, Status> {
    Ok(cluster.handle(subset).ok_or(NGX_HTTP_MEMCACHE_INTERNAL)?.cast_mut().cast())
}

/// # Safety
///
/// A pointer that is not NULL and aligned points to a T that is there for the call.
unsafe fn checked<'a, T>(ptr: *const T) -> Result<&'a T, Status> {
    if !ptr.is_aligned() {
        return Err(NGX_HTTP_MEMCACHE_INVALID);
    }
    // SAFETY: by the contract.
    unsafe { ptr.as_ref() }.ok_or(NGX_HTTP_MEMCACHE_INVALID)
}

/// # Safety
///
/// As for [`checked`], and nothing else refers to it.
unsafe fn checked_mut<'a, T>(ptr: *mut T) -> Result<&'a mut T, Status> {
    if !ptr.is_aligned() {
        return Err(NGX_HTTP_MEMCACHE_INVALID);
    }
    // SAFETY: by the contract.
    unsafe { ptr.as_mut() }.ok_or(NGX_HTTP_MEMCACHE_INVALID)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A counted slice as four words. They are not all zero: one of them points to a table of functions.
fn owner_of(bytes: Bytes) -> [*mut c_void; 4] {
    const { assert!(size_of::<Bytes>() == size_of::<[*mut c_void; 4]>()) };
    const { assert!(align_of::<Bytes>() == align_of::<[*mut c_void; 4]>()) };

    let mut owner = MaybeUninit::<[*mut c_void; 4]>::zeroed();
    // SAFETY: size and alignment are right; a `Bytes` has no padding.
    unsafe {
        owner.as_mut_ptr().cast::<Bytes>().write(bytes);
        owner.assume_init()
    }
}

/// # Safety
///
/// The words come from [`owner_of`] and are used once.
unsafe fn bytes_of(owner: [*mut c_void; 4]) -> Bytes {
    // SAFETY: by the contract.
    unsafe { mem::transmute(owner) }
}
