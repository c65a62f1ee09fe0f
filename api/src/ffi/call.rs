//! One call of the module as a future.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::c_void;
use std::marker::PhantomPinned;
use std::mem;
use std::pin::Pin;
use std::ptr;
use std::slice;
use std::task::{Context, Poll, Waker};

use nginx_sys::{ngx_msec_t, ngx_str_t, ngx_uint_t};

use crate::error::Error;
use crate::event_loop::panic::contain;
use crate::event_loop::turn;
use crate::ffi::handle::Handle;
use crate::ffi::table::Table;
use crate::nginx::request::RequestRef;
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

/// The answer of one operation.
pub(crate) trait Answer: Sized + 'static {
    /// Takes what is to be kept out of a result, which is there only meanwhile.
    fn take(table: Table, result: &sys::ngx_http_memcache_result_t) -> Self;

    fn refused(error: Error) -> Self;
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
        submit: impl FnOnce(Handle, *mut c_void, Option<RequestRef<'static>>) -> Result<u64, Error>,
    ) -> Result<(), Error> {
        let this = self.into_ref().get_ref();
        let data = ptr::from_ref(this).cast_mut().cast();
        match submit(this.client, data, turn::request()) {
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

impl<A: Answer> Call<A> {
    /// Submits an operation, of which nothing is used afterwards.
    pub(crate) fn submit(
        self: Pin<&mut Self>,
        cx: &Context<'_>,
        op: &mut sys::ngx_http_memcache_op_t,
    ) -> Result<(), Error> {
        self.submit_with(cx, A::refused, |client, data, request| {
            if let Some(request) = request {
                // The task's end drops the call, if nobody else waits for it. So the request is only counted for.
                op.request = request.as_ptr().cast();
                op.options |= sys::NGX_HTTP_MEMCACHE_COUNT;
            }
            op.handler = Some(answered::<A>);
            op.data = data;
            // SAFETY: the call is pinned, and stays at this address until it is dropped, which cancels it.
            unsafe { client.submit(op) }
        })
    }
}

impl<A: Answer> Call<Vec<A>> {
    /// Submits gets of many keys, which are not used afterwards.
    pub(crate) fn submit_many(
        self: Pin<&mut Self>,
        cx: &Context<'_>,
        keys: &[ngx_str_t],
        timeout: ngx_msec_t,
    ) -> Result<(), Error> {
        let refused = |error: Error| keys.iter().map(|_| A::refused(error.clone())).collect();
        self.submit_with(cx, refused, |client, data, request| {
            let many = sys::ngx_http_memcache_many_t {
                size: mem::size_of::<sys::ngx_http_memcache_many_t>(),
                op: sys::NGX_HTTP_MEMCACHE_GET,
                ttl: 0,
                keys: keys.as_ptr(),
                nkeys: keys.len(),
                timeout,
                handler: Some(all_answered::<A>),
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

impl<A> Drop for Call<A> {
    fn drop(&mut self) {
        if let Some(InFlight { call, .. }) = self.in_flight.take() {
            self.client.cancel(call);
        }
    }
}

/// Lets the module refuse and count a value of this length, which is larger than `memcache_max_value`.
pub(crate) fn refuse_value(client: Handle, mut op: sys::ngx_http_memcache_op_t, len: usize) -> Result<(), Error> {
    if let Some(request) = turn::request() {
        op.request = request.as_ptr().cast();
        op.options |= sys::NGX_HTTP_MEMCACHE_COUNT;
    }
    // The module does not look at a value that is too large; one of another length without bytes is INVALID.
    op.value = ngx_str_t { len, data: ptr::null_mut() };
    client.submit_and_forget(&mut op)
}

/// The handler of operations.
unsafe extern "C" fn answered<A: Answer>(data: *mut c_void, result: *const sys::ngx_http_memcache_result_t) {
    // SAFETY: the module calls this for a call that was submitted with it, and its result is good meanwhile.
    unsafe { Call::answered(data, |table| A::take(table, &*result)) };
}

/// The handler of gets of many keys.
unsafe extern "C" fn all_answered<A: Answer>(
    data: *mut c_void,
    results: *const *const sys::ngx_http_memcache_result_t,
    n: ngx_uint_t,
) {
    // SAFETY: the module calls this for a call that was submitted with it. Its list and what that points to are good
    // meanwhile, and there is at least one key.
    unsafe {
        Call::answered(data, |table| {
            let results = slice::from_raw_parts(results, n);
            results.iter().map(|&result| A::take(table, &*result)).collect::<Vec<A>>()
        });
    }
}
