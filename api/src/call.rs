//! One call of the module as a future.

use std::cell::Cell;
use std::ffi::c_void;
use std::marker::PhantomPinned;
use std::mem;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, Waker};

use nginx_sys::ngx_http_request_t;

use crate::http;
use crate::sys;
use crate::table::{Handle, Table, Value};
use crate::Error;

/// A call: not submitted, in flight, or over.
///
/// The module is given the address of this value, so that a call costs no allocation here. It must not move while it
/// is in flight, which [`Pin`] ensures, and it is cancelled when it is dropped, after which the module does not use
/// the address again.
pub(crate) struct Call {
    state: Cell<State>,
    /// The answer, from when it comes until it is fetched.
    answer: Cell<Option<Result<Reply, Error>>>,
    table: Table,
    client: Handle,
    _pinned: PhantomPinned,
}

enum State {
    New,
    InFlight {
        call: u64,
        waker: Waker,
    },
    /// Also before the answer is fetched.
    Over,
}

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
}

impl Call {
    pub(crate) fn new(table: Table, client: Handle) -> Self {
        Call { state: Cell::new(State::New), answer: Cell::new(None), table, client, _pinned: PhantomPinned }
    }

    /// Submits what `operation` says when it is polled first, and is ready when the module has answered.
    ///
    /// Nothing of the operation is used after the first poll. When it is polled after its end, it stays pending.
    pub(crate) fn poll<'o>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        operation: impl FnOnce() -> Result<&'o mut sys::ngx_http_memcache_op_t, Error>,
    ) -> Poll<Result<Reply, Error>> {
        let this = self.into_ref().get_ref();

        match this.state.replace(State::Over) {
            State::New => match operation().and_then(|op| this.submit(op)) {
                Ok(call) => this.state.set(State::InFlight { call, waker: cx.waker().clone() }),
                Err(error) => return Poll::Ready(Err(error)),
            },
            State::InFlight { call, mut waker } => {
                waker.clone_from(cx.waker());
                this.state.set(State::InFlight { call, waker });
            }
            State::Over => return this.answer.take().map_or(Poll::Pending, Poll::Ready),
        }
        Poll::Pending
    }

    fn submit(&self, op: &mut sys::ngx_http_memcache_op_t) -> Result<u64, Error> {
        let request = REQUEST.get();
        if !request.is_null() {
            // The task's end drops the call, if nobody else waits for it. So the request is only counted for.
            op.request = request.cast();
            op.options |= sys::NGX_HTTP_MEMCACHE_COUNT;
        }
        op.handler = Some(answered);
        op.data = ptr::from_ref(self).cast_mut().cast();
        // SAFETY: whoever holds a client is in a request, whose configuration is in use. The call is pinned (this is
        // reached from poll() alone), and stays at this address until it is dropped, which cancels it.
        unsafe { self.table.submit(self.client, op) }
    }
}

thread_local! {
    static REQUEST: Cell<*mut ngx_http_request_t> = const { Cell::new(ptr::null_mut()) };
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

impl Drop for Call {
    fn drop(&mut self) {
        if let State::InFlight { call, .. } = self.state.replace(State::Over) {
            // SAFETY: the client was good enough to submit the call, and the request that holds it has not ended.
            unsafe { self.table.cancel(self.client, call) };
        }
    }
}

/// The handler: keeps the answer, and wakes the task that waits for it. It does not poll anything.
unsafe extern "C" fn answered(data: *mut c_void, result: *const sys::ngx_http_memcache_result_t) {
    // A panic must not unwind into the module. Only a foreign waker can panic, and then its task is not woken.
    http::contain("a waker", || {
        // SAFETY: a call in flight is pinned; had it been dropped, it would have been cancelled.
        let this = unsafe { &*data.cast_const().cast::<Call>() };
        // SAFETY: the module's result is good while its handler runs.
        this.answer.set(Some(reply(this.table, unsafe { &*result })));
        // The waker comes last: it may drop the call.
        if let State::InFlight { waker, .. } = this.state.replace(State::Over) {
            waker.wake();
        }
    });
}

/// The handler of calls that nobody waits for.
pub(crate) unsafe extern "C" fn ignored(_data: *mut c_void, _result: *const sys::ngx_http_memcache_result_t) {}

fn reply(table: Table, result: &sys::ngx_http_memcache_result_t) -> Result<Reply, Error> {
    if result.status == sys::NGX_HTTP_MEMCACHE_TOO_LARGE {
        return Err(Error::ItemTooLarge);
    }
    if result.status > sys::NGX_HTTP_MEMCACHE_EXISTS {
        return Err(Error::from_status(result.status, result.maybe_applied != 0, result.value.as_bytes()));
    }
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
    })
}

/// Seconds up to which memcached takes a time for one from now on.
pub(crate) const MAX_RELATIVE: u32 = 30 * 24 * 60 * 60;

/// An operation with nothing set but its number.
pub(crate) fn operation(number: u32) -> sys::ngx_http_memcache_op_t {
    // SAFETY: the header asks for a structure of zeros; there is no reference in it.
    let mut op: sys::ngx_http_memcache_op_t = unsafe { mem::zeroed() };
    op.size = mem::size_of_val(&op);
    op.op = number;
    op
}

#[cfg(test)]
mod tests;
