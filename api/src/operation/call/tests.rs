//! The futures against a function table that answers when the test says so.

#![allow(clippy::arithmetic_side_effects, unsafe_code)]

use std::cell::RefCell;
use std::ffi::c_void;
use std::future::Future;
use std::mem;
use std::pin::{pin, Pin};
use std::ptr::{self, NonNull};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use nginx_sys::{ngx_str_t, ngx_uint_t};

use super::*;
use crate::client::Client;
use crate::ffi::handle::Handle;
use crate::operation::cas::Cas;
use crate::operation::item::Item;
use crate::operation::ttl::Seconds;

mod fetch;
mod items;
mod leases;
mod multi;
mod origin;

thread_local! {
    static FAKE: RefCell<Fake> = const { RefCell::new(Fake { calls: Vec::new(), batches: Vec::new(), cancelled: Vec::new(), values: 0, refuse: 0 }) };
}

/// What the table has seen.
struct Fake {
    calls: Vec<Seen>,
    batches: Vec<SeenMany>,
    cancelled: Vec<u64>,
    /// Values retained and not released.
    values: usize,
    refuse: u32,
}

#[derive(Clone)]
struct Seen {
    op: u32,
    options: u32,
    key: Vec<u8>,
    value: Vec<u8>,
    cas: u64,
    delta: u64,
    initial: u64,
    flags: u32,
    ttl: u32,
    timeout: usize,
    server: ngx_uint_t,
    recache: u32,
    handler: sys::ngx_http_memcache_handler_pt,
    data: *mut c_void,
}

unsafe extern "C" fn submit(
    _client: *mut sys::ngx_http_memcache_client_t,
    op: *const sys::ngx_http_memcache_op_t,
    call: *mut u64,
) -> u32 {
    // SAFETY: the caller passes good pointers.
    let op = unsafe { &*op };
    FAKE.with_borrow_mut(|fake| {
        if fake.refuse != 0 {
            return fake.refuse;
        }
        fake.calls.push(Seen {
            op: op.op,
            options: op.options,
            key: op.key.as_bytes().to_vec(),
            value: op.value.as_bytes().to_vec(),
            cas: op.cas,
            delta: op.delta,
            initial: op.initial,
            flags: op.flags,
            ttl: op.ttl,
            timeout: op.timeout,
            server: op.server,
            recache: op.recache,
            handler: op.handler,
            data: op.data,
        });
        // SAFETY: as above.
        unsafe { *call = fake.calls.len() as u64 };
        sys::NGX_HTTP_MEMCACHE_OK
    })
}

struct SeenMany {
    keys: Vec<Vec<u8>>,
    timeout: usize,
    handler: sys::ngx_http_memcache_many_handler_pt,
    data: *mut c_void,
}

unsafe extern "C" fn submit_many(
    _client: *mut sys::ngx_http_memcache_client_t,
    many: *const sys::ngx_http_memcache_many_t,
    call: *mut u64,
) -> u32 {
    // SAFETY: the caller passes good pointers.
    let (many, keys) = unsafe { (&*many, std::slice::from_raw_parts((*many).keys, (*many).nkeys)) };
    FAKE.with_borrow_mut(|fake| {
        if fake.refuse != 0 {
            return fake.refuse;
        }
        let keys = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        fake.batches.push(SeenMany { keys, timeout: many.timeout, handler: many.handler, data: many.data });
        // SAFETY: as above.
        unsafe { *call = fake.batches.len() as u64 };
        OK
    })
}

unsafe extern "C" fn cancel(_client: *mut sys::ngx_http_memcache_client_t, call: u64) -> u32 {
    FAKE.with_borrow_mut(|fake| fake.cancelled.push(call));
    sys::NGX_HTTP_MEMCACHE_OK
}

unsafe extern "C" fn retain(
    result: *const sys::ngx_http_memcache_result_t,
    value: *mut sys::ngx_http_memcache_value_t,
) -> u32 {
    FAKE.with_borrow_mut(|fake| fake.values += 1);
    // SAFETY: the caller passes good pointers.
    unsafe {
        let bytes: Box<[u8]> = (*result).value.as_bytes().into();
        let len = bytes.len();
        (*value).bytes = ngx_str_t { len, data: Box::into_raw(bytes).cast() };
    }
    sys::NGX_HTTP_MEMCACHE_OK
}

unsafe extern "C" fn release(value: *mut sys::ngx_http_memcache_value_t) {
    // SAFETY: the caller passes a value of retain(), or an empty one.
    unsafe {
        let bytes = &mut (*value).bytes;
        if bytes.len > 0 {
            FAKE.with_borrow_mut(|fake| fake.values -= 1);
            drop(Box::from_raw(ptr::slice_from_raw_parts_mut(bytes.data, bytes.len)));
            bytes.len = 0;
        }
    }
}

unsafe extern "C" fn server(
    _client: *mut sys::ngx_http_memcache_client_t,
    index: ngx_uint_t,
    server: *mut sys::ngx_http_memcache_server_t,
) -> u32 {
    // SAFETY: the caller passes a good pointer.
    unsafe { (*server).weight = 1 + u32::try_from(index).unwrap() };
    if index < 2 || index == 3 {
        OK
    } else {
        sys::NGX_HTTP_MEMCACHE_INVALID
    }
}

unsafe extern "C" fn subset(
    _client: *mut sys::ngx_http_memcache_client_t,
    servers: *const ngx_uint_t,
    n: ngx_uint_t,
    subset: *mut *mut sys::ngx_http_memcache_client_t,
) -> u32 {
    // SAFETY: the caller passes good pointers.
    let servers = unsafe { std::slice::from_raw_parts(servers, n) };
    if servers != [1] {
        return sys::NGX_HTTP_MEMCACHE_TOO_MANY;
    }
    // SAFETY: as above.
    unsafe { *subset = NonNull::dangling().as_ptr() };
    OK
}

unsafe extern "C" fn server_of_key(
    _client: *mut sys::ngx_http_memcache_client_t,
    key: *const ngx_str_t,
    index: *mut ngx_uint_t,
) -> u32 {
    // SAFETY: the caller passes good pointers.
    unsafe { *index = (*key).as_bytes().len() };
    OK
}

static TABLE: sys::ngx_http_memcache_api_t = sys::ngx_http_memcache_api_t {
    size: size_of::<sys::ngx_http_memcache_api_t>(),
    client_of_request: None,
    submit: Some(submit),
    cancel: Some(cancel),
    retain: Some(retain),
    release: Some(release),
    servers: Some(leases::servers),
    server: Some(server),
    max_value: None,
    set_enabled: None,
    client_of_conf: None,
    subset: Some(subset),
    submit_many: Some(submit_many),
    server_of_key: Some(server_of_key),
    require: None,
    check_request: None,
    client_of_name: None,
    require_name: None,
    client_of_module: None,
};

/// A client of the fake table, which has seen nothing yet. Values that were retained stay.
fn client() -> Client {
    FAKE.with_borrow_mut(|fake| {
        let values = fake.values;
        *fake = Fake { calls: Vec::new(), batches: Vec::new(), cancelled: Vec::new(), values, refuse: 0 };
    });
    Client::from_handle(Handle::of_test(Table::new(&TABLE)))
}

fn seen(index: usize) -> Seen {
    FAKE.with_borrow(|fake| fake.calls[index].clone())
}

fn cancelled() -> Vec<u64> {
    FAKE.with_borrow(|fake| fake.cancelled.clone())
}

fn values() -> usize {
    FAKE.with_borrow(|fake| fake.values)
}

/// Runs the handler of a call.
fn answer(index: usize, status: u32, value: &[u8]) {
    answer_with(index, |result| {
        result.status = status;
        result.value = ngx_str_t { len: value.len(), data: value.as_ptr().cast_mut() };
    });
}

/// The same with a result that `fill` has adjusted.
fn answer_with(index: usize, fill: impl FnOnce(&mut sys::ngx_http_memcache_result_t)) {
    let seen = seen(index);
    // SAFETY: numbers and a string; all zeros are good.
    let mut result: sys::ngx_http_memcache_result_t = unsafe { mem::zeroed() };
    result.size = size_of::<sys::ngx_http_memcache_result_t>();
    result.maybe_applied = 1;
    result.cas = 17;
    result.number = 43;
    result.flags = 7;
    fill(&mut result);
    // SAFETY: the test holds the future that submitted the call.
    unsafe { seen.handler.unwrap()(seen.data, &result) };
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls, answers, and polls again.
fn finish<F: Future>(future: F, status: u32, value: &[u8]) -> F::Output {
    let mut future = pin!(future);
    assert!(poll(future.as_mut()).is_pending());
    answer(0, status, value);
    match poll(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("no answer"),
    }
}

const OK: u32 = sys::NGX_HTTP_MEMCACHE_OK;
const MISS: u32 = sys::NGX_HTTP_MEMCACHE_MISS;
const NOT_STORED: u32 = sys::NGX_HTTP_MEMCACHE_NOT_STORED;
const EXISTS: u32 = sys::NGX_HTTP_MEMCACHE_EXISTS;

#[test]
fn a_call_is_submitted_when_it_is_polled_first() {
    let mc = client();
    let mut get = pin!(mc.get("cow"));
    FAKE.with_borrow(|fake| assert!(fake.calls.is_empty()));
    assert!(poll(get.as_mut()).is_pending());
    assert!(poll(get.as_mut()).is_pending());
    FAKE.with_borrow(|fake| assert_eq!(fake.calls.len(), 1));
    assert_eq!((seen(0).op, seen(0).key.as_slice()), (sys::NGX_HTTP_MEMCACHE_GET, &b"cow"[..]));
}

#[test]
fn an_answer_that_nobody_fetches_is_released() {
    let mc = client();
    {
        let mut get = pin!(mc.get("cow"));
        assert!(poll(get.as_mut()).is_pending());
        answer(0, OK, &[b'L'; Value::SMALL + 1]);
        assert_eq!(values(), 1);
    }
    assert_eq!((values(), cancelled()), (0, vec![]));
}

#[test]
fn dropping_cancels_what_is_in_flight_only() {
    let mc = client();
    drop(mc.get("never polled"));
    {
        let mut get = pin!(mc.get("cow"));
        assert!(poll(get.as_mut()).is_pending());
    }
    assert_eq!(cancelled(), [1]);
}

#[test]
fn refused_calls_are_errors_and_have_no_handler() {
    let mc = client();
    FAKE.with_borrow_mut(|fake| fake.refuse = sys::NGX_HTTP_MEMCACHE_INVALID_KEY);
    assert_eq!(poll(pin!(mc.delete(""))), Poll::Ready(Err(Error::InvalidKey { len: Some(0), why: [].into() })));
    assert_eq!(cancelled(), []);
}

#[test]
fn errors_say_what_the_server_said() {
    let server = finish(client().get("k"), sys::NGX_HTTP_MEMCACHE_SERVER, b"out of memory");
    assert_eq!(server.unwrap_err(), Error::Server(b"out of memory".as_slice().into()));
    let timeout = finish(client().set("k", "v"), sys::NGX_HTTP_MEMCACHE_TIMEOUT, b"");
    assert_eq!(timeout.unwrap_err(), Error::Timeout { maybe_applied: true });
    assert_eq!(values(), 0);
}

#[test]
fn answers() {
    assert!(finish(client().get("k"), MISS, b"").unwrap().is_none());
    assert!(finish(client().get_and_touch("k", 9.secs()), MISS, b"").unwrap().is_none());
    assert_eq!(finish(client().set("k", "v"), OK, b""), Ok(()));
    assert_eq!(finish(client().add("k", "v"), NOT_STORED, b""), Ok(false));
    assert_eq!(finish(client().replace("k", "v"), OK, b""), Ok(true));
    assert_eq!(finish(client().append("k", "v"), NOT_STORED, b""), Ok(false));
    assert_eq!(finish(client().prepend("k", "v"), OK, b""), Ok(true));
    assert_eq!(finish(client().set("k", "v").cas(1), OK, b""), Ok(Cas::Applied));
    assert_eq!(finish(client().set("k", "v").cas(1), EXISTS, b""), Ok(Cas::Changed));
    assert_eq!(finish(client().delete("k").cas(1), MISS, b""), Ok(Cas::Missing));
    assert_eq!(finish(client().append("k", "v").cas(7), EXISTS, b""), Ok(Cas::Changed));
    assert_eq!(seen(0).cas, 7);
    assert_eq!(finish(client().prepend("k", "v").cas(7), NOT_STORED, b""), Ok(Cas::Missing));
    assert_eq!(finish(client().incr("k", 1).cas(7), EXISTS, b""), Ok(Err(Cas::Changed)));
    assert_eq!(seen(0).cas, 7);
    assert_eq!(finish(client().decr("k", 1).cas(0), MISS, b""), Ok(Err(Cas::Missing)));
    assert_eq!(seen(0).cas, u64::MAX, "no version");
    assert_eq!(finish(client().delete("k"), MISS, b""), Ok(false));
    assert_eq!(finish(client().incr("k", 1), OK, b""), Ok(Some(43)));
    assert_eq!(finish(client().decr("k", 1), MISS, b""), Ok(None));
    assert_eq!(finish(client().touch("k", 9.secs()), OK, b""), Ok(true));
}

#[test]
fn parameters_reach_the_module() {
    let mc = client();
    let _ = finish(mc.set("k", 42_u64).ttl(60.secs()).timeout(Duration::from_micros(1)).cas(5), OK, b"");
    let set = seen(0);
    assert_eq!((set.op, set.cas, set.ttl, set.timeout), (sys::NGX_HTTP_MEMCACHE_SET, 5, 60, 1));
    assert_eq!((set.value.as_slice(), set.flags), (&b"42"[..], 2));

    let _ = finish(client().add("k", "v").flags(9), OK, b"");
    assert_eq!((seen(0).op, seen(0).flags), (sys::NGX_HTTP_MEMCACHE_ADD, 9));

    let _ = finish(client().decr("k", 3).initial(8).ttl(1.secs()), OK, b"");
    let decr = seen(0);
    assert_eq!((decr.op, decr.options), (sys::NGX_HTTP_MEMCACHE_DECR, sys::NGX_HTTP_MEMCACHE_INITIAL));
    assert_eq!((decr.delta, decr.initial, decr.ttl, decr.server), (3, 8, 1, 0));
}

#[test]
fn version_zero_matches_nothing() {
    let _ = finish(client().delete("k").cas(0), EXISTS, b"");
    assert_eq!(seen(0).cas, u64::MAX);
}

#[test]
fn subsets() {
    assert!(client().subset(|server| server.weight() == 2).is_ok());
    assert_eq!(client().subset(|_| false).unwrap_err(), Error::NoServer);
    assert_eq!(client().subset(|_| true).unwrap_err(), Error::TooMany);
}

#[test]
fn a_key_has_a_server() {
    assert_eq!(client().server_of("").unwrap().weight(), 1);
    assert_eq!(client().server_of("k").unwrap().weight(), 2);
    assert_eq!(client().server_of("no such").unwrap_err(), Error::Other(sys::NGX_HTTP_MEMCACHE_INTERNAL));
}
