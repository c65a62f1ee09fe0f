//! The function table of `include/ngx_http_memcache.h`.
//!
//! Whoever calls may be wrong. Pointers are checked for NULL and alignment, structures for their size; a client is
//! looked up among those that there are before it is used. A sibling can still crash the worker by a pointer to
//! something else than it promises, as any code in the process can.

#![allow(unsafe_code)]

mod callback;
mod operation;
mod outcome;
mod sized;

use core::ffi::c_void;
use core::mem::{self, MaybeUninit};
use core::ptr;

use bytes::Bytes;
use memcache_engine::{CallId, State};
use nginx_sys::{ngx_http_request_t, ngx_str_t, ngx_uint_t, NGX_HTTP_MODULE};

pub use self::callback::Callback;
use self::callback::{delivered, Unbound};
use self::operation::Operation;
use self::outcome::status_of;
use crate::boundary::guard;
use crate::cluster::{Cluster, Clusters};
use crate::conf::ServerConf;
use crate::driver::{Driver, Refused};
use crate::sys::*;
use crate::{ctx_index, worker};

type Status = ngx_http_memcache_status_t;
type ClientPtr = *mut ngx_http_memcache_client_t;

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
        let conf = unsafe { (*request.srv_conf.add(ctx_index())).cast::<ServerConf>().as_ref() };
        let cluster = conf.and_then(|conf| conf.cluster).ok_or(NGX_HTTP_MEMCACHE_NOT_CONFIGURED)?;
        // SAFETY: the cluster lives as long as the configuration, of which the request holds a part.
        unsafe { cluster.as_ref() }.driver().map_err(|_| NGX_HTTP_MEMCACHE_NOT_AVAILABLE)?;
        *client = cluster.as_ptr().cast();
        Ok(())
    })
}

unsafe extern "C" fn submit(
    client: ClientPtr,
    op: *const ngx_http_memcache_op_t,
    call: *mut ngx_http_memcache_call_t,
) -> Status {
    answer(|| {
        let (cluster, driver) = find(client)?;
        // SAFETY: the caller passes an operation of the size that it says, or NULL.
        let op = &unsafe { sized::read(op) }?;
        let handler = op.handler.ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        if !call.is_null() && !call.is_aligned() {
            return Err(NGX_HTTP_MEMCACHE_INVALID);
        }
        // SAFETY: the caller's strings are what they say.
        let operation = unsafe { operation::read(op, cluster.config.max_value) }?;

        let mut callback = Callback::new(handler, op.data);
        if !op.request.is_null() {
            // SAFETY: the caller passes a request.
            unsafe { callback.bind(op.request, driver) }.map_err(|unbound| match unbound {
                Unbound::NotARequest => NGX_HTTP_MEMCACHE_INVALID,
                Unbound::NoMemory => NGX_HTTP_MEMCACHE_NO_MEMORY,
            })?;
        }
        let note = callback.note();
        let id = match operation {
            Operation::Keyed(request) => driver.submit(request, callback),
            Operation::OnServer { server, verb, timeout } => driver.submit_to(server, verb, timeout, callback),
        };
        let id = id.map_err(|refused| match refused {
            Refused::Client(error) => status_of(&error),
            Refused::InUse => NGX_HTTP_MEMCACHE_INTERNAL,
        })?;
        note(id);
        if !call.is_null() {
            // SAFETY: the caller passes a place for the number; its alignment was checked.
            unsafe { call.write(id.to_u64()) };
        }
        Ok(())
    })
}

unsafe extern "C" fn cancel(client: ClientPtr, call: ngx_http_memcache_call_t) -> Status {
    answer(|| {
        let (_, driver) = find(client)?;
        driver.cancel(CallId::from_u64(call)).map(drop).ok_or(NGX_HTTP_MEMCACHE_STALE)
    })
}

unsafe extern "C" fn retain(
    result: *const ngx_http_memcache_result_t,
    value: *mut ngx_http_memcache_value_t,
) -> Status {
    answer(|| {
        // SAFETY: the caller passes a place for a value, or NULL.
        let value = unsafe { checked_mut(value) }?;
        check_caller()?;
        let bytes = delivered(result).ok_or(NGX_HTTP_MEMCACHE_STALE)?;
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
            drop(unsafe { bytes_of(owner) });
        }
    });
}

unsafe extern "C" fn servers(client: ClientPtr) -> ngx_uint_t {
    guard(0, || find(client).map_or(0, |(cluster, _)| cluster.config.servers.len()))
}

unsafe extern "C" fn server(client: ClientPtr, index: ngx_uint_t, server: *mut ngx_http_memcache_server_t) -> Status {
    answer(|| {
        let (cluster, driver) = find(client)?;
        // SAFETY: the caller passes a place for a server of the size that it says, or NULL.
        let size = unsafe { sized::check(server) }?;
        let name = &cluster.config.servers.get(index).ok_or(NGX_HTTP_MEMCACHE_INVALID)?.name;
        let now = driver
            .view(|client| {
                let view = client.server(index)?;
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
    guard(0, || find(client).map_or(0, |(cluster, _)| cluster.config.max_value))
}

unsafe extern "C" fn set_enabled(client: ClientPtr, index: ngx_uint_t, enabled: ngx_uint_t) -> Status {
    answer(|| {
        let (_, driver) = find(client)?;
        match driver.set_enabled(index, enabled != 0) {
            Some(true) => Ok(()),
            Some(false) => Err(NGX_HTTP_MEMCACHE_INVALID),
            None => Err(NGX_HTTP_MEMCACHE_INTERNAL),
        }
    })
}

/* what the functions share */

/// The status that a call returns.
fn answer(call: impl FnOnce() -> Result<(), Status>) -> Status {
    guard(NGX_HTTP_MEMCACHE_INTERNAL, || call().err().unwrap_or(NGX_HTTP_MEMCACHE_OK))
}

/// The worker's clusters, if this is a worker and its event loop's thread.
fn check_caller<'a>() -> Result<&'a Clusters, Status> {
    let clusters = worker::clusters().map_err(|_| NGX_HTTP_MEMCACHE_NOT_AVAILABLE)?;
    if worker::on_event_loop() {
        Ok(clusters)
    } else {
        Err(NGX_HTTP_MEMCACHE_WRONG_THREAD)
    }
}

/// The cluster behind a handle, if it is one of this worker's: the pointer is not followed before that is known.
fn find<'a>(client: ClientPtr) -> Result<(&'a Cluster, &'a Driver), Status> {
    let clusters = check_caller()?;
    if client.is_null() {
        return Err(NGX_HTTP_MEMCACHE_INVALID);
    }
    let cluster = clusters.find(client.cast()).ok_or(NGX_HTTP_MEMCACHE_STALE)?;
    Ok((cluster, cluster.running().ok_or(NGX_HTTP_MEMCACHE_NOT_AVAILABLE)?))
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
