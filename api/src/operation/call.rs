//! One call of the module as a future.

use std::cell::Cell;
use std::ffi::c_void;
use std::marker::PhantomPinned;
use std::mem;
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::slice;
use std::task::{Context, Poll, Waker};

use nginx_sys::{ngx_http_request_t, ngx_msec_t, ngx_str_t, ngx_uint_t};

use crate::error::Error;
use crate::event_loop::panic::contain;
use crate::event_loop::turn;
use crate::ffi::handle::Handle;
use crate::ffi::table::{Table, Value};
use crate::operation::item::Item;
use crate::operation::origin::Origin;
use crate::sys;

/// A call: not submitted yet, in flight, or over.
///
/// The module is given the address of this value, so that a call costs no allocation here. It must not move while it
/// is in flight, which [`Pin`] ensures, and it is cancelled when it is dropped, after which the module does not use
/// the address again.
pub(crate) struct Call<A> {
    in_flight: Cell<Option<InFlight>>,
    /// The answer, from when it comes until it is fetched.
    answer: Cell<Option<A>>,
    /// The answer is for the next poll.
    put_off: Cell<bool>,
    client: Handle,
    _pinned: PhantomPinned,
}

struct InFlight {
    call: u64,
    waker: Waker,
}

/// What a get of many found.
pub(crate) type Found = Result<Option<Item>, Error>;

/// The answer of the module, except errors.
pub(crate) struct Reply {
    pub(crate) status: u32,
    pub(crate) cas: u64,
    pub(crate) number: u64,
    pub(crate) flags: u32,
    pub(crate) value: Value,
    pub(crate) lease: u32,
    pub(crate) stale: bool,
    pub(crate) length: usize,
    pub(crate) ttl: u32,
    pub(crate) idle: u32,
    pub(crate) fetched: bool,
    pub(crate) leased: bool,
    pub(crate) origin: Origin,
}

impl<A> Call<A> {
    pub(crate) fn new(client: Handle) -> Self {
        let (in_flight, answer, put_off) = (Cell::new(None), Cell::new(None), Cell::new(false));
        Call { in_flight, answer, put_off, client, _pinned: PhantomPinned }
    }

    /// Is ready when the module has answered. When it is polled after that, it stays pending.
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<A> {
        let this = self.into_ref().get_ref();
        match this.in_flight.take() {
            Some(InFlight { call, mut waker }) => {
                waker.clone_from(cx.waker());
                this.in_flight.set(Some(InFlight { call, waker }));
                Poll::Pending
            }
            None if this.put_off.replace(false) => Poll::Pending,
            None => this.answer.take().map_or(Poll::Pending, Poll::Ready),
        }
    }

    /// Submits it, once: `submit` is given the data for the module's handler, and what it is counted for. Of many that
    /// are refused in one poll, some are answered so in the next turn of the event loop.
    fn submit_with(
        self: Pin<&mut Self>,
        cx: &Context<'_>,
        refused: impl FnOnce(Error) -> A,
        submit: impl FnOnce(Handle, *mut c_void, Option<NonNull<ngx_http_request_t>>) -> Result<u64, Error>,
    ) -> Result<(), Error> {
        let this = self.into_ref().get_ref();
        let data = ptr::from_ref(this).cast_mut().cast();
        match submit(this.client, data, NonNull::new(REQUEST.get())) {
            Ok(call) => this.in_flight.set(Some(InFlight { call, waker: cx.waker().clone() })),
            Err(error) if turn::may_refuse() => return Err(error),
            Err(error) => {
                this.answer.set(Some(refused(error)));
                this.put_off.set(true);
                cx.waker().wake_by_ref();
            }
        }
        Ok(())
    }

    /// The answer has come. A task is woken, but does not run here.
    ///
    /// # Safety
    ///
    /// `data` is what the module was given with a call that it answers.
    unsafe fn answered(data: *mut c_void, answer: impl FnOnce(Table) -> A) {
        // A panic must not unwind into the module. Only a foreign waker can panic, and then its task is not woken.
        contain("a waker", || {
            // SAFETY: a call in flight is pinned; had it been dropped, it would have been cancelled.
            let this = unsafe { &*data.cast_const().cast::<Self>() };
            this.answer.set(Some(answer(this.client.table())));
            // The waker comes last: it may drop the call.
            if let Some(InFlight { waker, .. }) = this.in_flight.take() {
                waker.wake();
            }
        });
    }
}

impl Call<Result<Reply, Error>> {
    /// Submits an operation, of which nothing is used afterwards.
    pub(crate) fn submit(
        self: Pin<&mut Self>,
        cx: &Context<'_>,
        op: &mut sys::ngx_http_memcache_op_t,
    ) -> Result<(), Error> {
        self.submit_with(cx, Err, |client, data, request| {
            if let Some(request) = request {
                // The task's end drops the call, if nobody else waits for it. So the request is only counted for.
                op.request = request.as_ptr().cast();
                op.options |= sys::NGX_HTTP_MEMCACHE_COUNT;
            }
            op.handler = Some(answered);
            op.data = data;
            // SAFETY: the call is pinned, and stays at this address until it is dropped, which cancels it.
            unsafe { client.submit(op) }
        })
    }
}

impl Call<Vec<Found>> {
    /// Submits gets of many keys, which are not used afterwards.
    pub(crate) fn submit_many(
        self: Pin<&mut Self>,
        cx: &Context<'_>,
        keys: &[ngx_str_t],
        timeout: ngx_msec_t,
    ) -> Result<(), Error> {
        let refused = |error: Error| keys.iter().map(|_| Err(error.clone())).collect();
        self.submit_with(cx, refused, |client, data, request| {
            let many = sys::ngx_http_memcache_many_t {
                size: mem::size_of::<sys::ngx_http_memcache_many_t>(),
                op: sys::NGX_HTTP_MEMCACHE_GET,
                ttl: 0,
                keys: keys.as_ptr(),
                nkeys: keys.len(),
                timeout,
                handler: Some(all_answered),
                data,
                request: request.map_or(ptr::null_mut(), |request| request.as_ptr().cast()),
                options: request.map_or(0, |_| sys::NGX_HTTP_MEMCACHE_COUNT),
                reserved: 0,
            };
            // SAFETY: as of one operation.
            unsafe { client.submit_many(&many) }
        })
    }
}

thread_local! {
    static REQUEST: Cell<*mut ngx_http_request_t> = const { Cell::new(ptr::null_mut()) };
}

/// Lets the module refuse and count a value of this length, which is larger than `memcache_max_value`.
pub(crate) fn refused(client: Handle, mut op: sys::ngx_http_memcache_op_t, len: usize) -> Result<(), Error> {
    if let Some(request) = NonNull::new(REQUEST.get()) {
        op.request = request.as_ptr().cast();
        op.options |= sys::NGX_HTTP_MEMCACHE_COUNT;
    }
    op.value = ngx_str_t { len, data: ptr::null_mut() };
    op.handler = Some(ignored);
    // SAFETY: the module does not look at a value that is too large; one of another length without bytes is INVALID.
    unsafe { client.submit(&op) }.map(|_| ())
}

/// Runs the code of a request: the calls that are submitted meanwhile are counted for it.
///
/// # Safety
///
/// The request is alive, also when the code has ended it, until the code returns or submits nothing more.
pub(crate) unsafe fn counted_for<R>(request: *mut ngx_http_request_t, code: impl FnOnce() -> R) -> R {
    struct Restore(*mut ngx_http_request_t);

    impl Drop for Restore {
        fn drop(&mut self) {
            REQUEST.set(self.0);
        }
    }

    let _restore = Restore(REQUEST.replace(request));
    code()
}

impl<A> Drop for Call<A> {
    fn drop(&mut self) {
        if let Some(InFlight { call, .. }) = self.in_flight.take() {
            self.client.cancel(call);
        }
    }
}

/// The handler of operations.
unsafe extern "C" fn answered(data: *mut c_void, result: *const sys::ngx_http_memcache_result_t) {
    // SAFETY: the module calls this for a call that was submitted with it, and its result is good meanwhile.
    unsafe { Call::answered(data, |table| reply(table, &*result)) };
}

/// The handler of gets of many keys.
unsafe extern "C" fn all_answered(
    data: *mut c_void,
    results: *const *const sys::ngx_http_memcache_result_t,
    n: ngx_uint_t,
) {
    // SAFETY: the module calls this for a call that was submitted with it. Its list and what that points to are good
    // meanwhile, and there is at least one key.
    unsafe {
        Call::answered(data, |table| {
            let results = slice::from_raw_parts(results, n);
            results.iter().map(|&result| found(table, &*result)).collect::<Vec<Found>>()
        });
    }
}

/// The handler of calls that nobody waits for.
pub(crate) unsafe extern "C" fn ignored(_data: *mut c_void, _result: *const sys::ngx_http_memcache_result_t) {}

/// Whether there is a result, and not an error.
fn check(result: &sys::ngx_http_memcache_result_t) -> Result<(), Error> {
    match result.status {
        ..=sys::NGX_HTTP_MEMCACHE_EXISTS => Ok(()),
        sys::NGX_HTTP_MEMCACHE_TOO_LARGE => Err(Error::ItemTooLarge),
        status => Err(Error::from_status(status, result.maybe_applied != 0, result.value.as_bytes())),
    }
}

/// What a get found.
fn found(table: Table, result: &sys::ngx_http_memcache_result_t) -> Found {
    check(result)?;
    match result.status {
        sys::NGX_HTTP_MEMCACHE_OK => {
            let origin = Origin::new(result.stand_in);
            Ok(Some(Item::new(table.retain(result)?, result.flags, result.cas, origin)))
        }
        _ => Ok(None),
    }
}

fn reply(table: Table, result: &sys::ngx_http_memcache_result_t) -> Result<Reply, Error> {
    check(result)?;
    Ok(Reply {
        status: result.status,
        cas: result.cas,
        number: result.number,
        flags: result.flags,
        value: table.retain(result)?,
        lease: result.lease,
        stale: result.stale != 0,
        length: result.length,
        ttl: result.ttl,
        idle: result.idle,
        fetched: result.fetched != 0,
        leased: result.leased != 0,
        origin: Origin::new(result.stand_in),
    })
}

#[cfg(test)]
mod tests;
