//! A sibling's handler, and the delivery of its answer.

#![allow(unsafe_code)]

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use bytes::Bytes;
use memcache_engine::{Answer, CallId, Outcome, Part};
use nginx_sys::{ngx_http_request_t, ngx_uint_t};

use super::binding::{Binding, Calls, Unbound};
use super::link::Link;
use super::outcome::{self, Status};
use super::request;
use super::sys::*;

/// A sibling's handler.
pub enum Handler {
    /// With the answer of an operation.
    One(unsafe extern "C" fn(*mut c_void, *const ngx_http_memcache_result_t)),
    /// With those of a batch.
    Many(unsafe extern "C" fn(*mut c_void, *const *const ngx_http_memcache_result_t, ngx_uint_t)),
    /// The module's own. It is taken when it is called.
    Own(Option<Box<Own>>),
}

/// A handler of the module itself. It is in another box, so that a callback stays as small as it is for siblings.
type Own = Box<dyn FnOnce(Answer)>;

/// The engine keeps this with an operation. The handler of one that is dropped is not called.
pub struct Callback {
    handler: Handler,
    data: *mut c_void,
    link: Option<NonNull<Link>>,
}

/// The answers that are being delivered: the only ones that `retain` takes.
struct Delivery {
    results: *const [ngx_http_memcache_result_t],
    /// The bytes that the results point to; they stay where they are when their handles move.
    values: *const [Bytes],
}

/// Not of a cycle: it is set only while a handler runs.
static DELIVERY: AtomicPtr<Delivery> = AtomicPtr::new(ptr::null_mut());

impl Callback {
    /// A handler that is called with `data`.
    pub fn new(handler: Handler, data: *mut c_void) -> Callback {
        Callback { handler, data, link: None }
    }

    /// A handler of the module itself.
    pub fn own(handler: impl FnOnce(Answer) + 'static) -> Callback {
        Callback::new(Handler::Own(Some(Box::new(Box::new(handler)))), ptr::null_mut())
    }

    /// Binds the operation to a request. It is counted there. When the main request ends, it is cancelled, or unbound.
    ///
    /// # Safety
    ///
    /// As for [`request::bind`].
    pub unsafe fn bind(
        &mut self,
        request: *mut ngx_http_request_t,
        calls: &(dyn Calls + 'static),
        binding: Binding,
    ) -> Result<(), Unbound> {
        // SAFETY: by the contract.
        self.link = Some(unsafe { request::bind(request, calls, binding) }?);
        Ok(())
    }

    /// Notes the operation's number, or its error, in the request.
    pub fn note(&self) -> impl FnOnce(&Result<CallId, Status>) {
        let link = self.link;
        move |call| {
            // SAFETY: called by the same call of the function table as `bind`, so the request is still there.
            if let Some(link) = link.as_ref().map(|link| unsafe { link.as_ref() }) {
                link.submitted(call);
            }
        }
    }

    /// The request is gone.
    pub fn unbind(&mut self) {
        self.link = None;
    }

    /// Delivers the answer. The handler may end the request, so nothing of it is used afterwards.
    pub fn run(mut self, answer: Answer, stand_in: bool) {
        let data = self.data;
        match (&mut self.handler, answer) {
            (Handler::Own(handler), answer) => {
                if let Some(handler) = handler.take() {
                    handler(answer);
                }
            }
            (&mut Handler::One(handler), answer) => {
                let (result, value) = outcome::result_of(answer, stand_in);
                let results = [result];
                self.answered(&results);
                // SAFETY: the sibling gave its handler and its data for this one call, and would have cancelled the
                // call if they had gone: its request's end did so.
                deliver(&results, &[value], |results| unsafe { handler(data, results.as_ptr()) });
            }
            (&mut Handler::Many(handler), answer) => {
                let parts = match answer {
                    Ok(Outcome::Many(parts)) => parts,
                    answer => vec![Part { answer, stand_in }],
                };
                let results = parts.into_iter().map(|part| outcome::result_of(part.answer, part.stand_in));
                let (results, values): (Vec<_>, Vec<_>) = results.unzip();
                self.answered(&results);
                let list: Vec<*const ngx_http_memcache_result_t> = results.iter().map(ptr::from_ref).collect();
                // SAFETY: as above.
                deliver(&results, &values, |_| unsafe { handler(data, list.as_ptr(), list.len()) });
            }
        }
    }

    /// Tells the request that the operation has ended.
    fn answered(mut self, results: &[ngx_http_memcache_result_t]) {
        self.leave(|link| link.answered(results));
    }

    /// Leaves the request, after a note to it.
    fn leave(&mut self, note: impl FnOnce(&Link)) {
        if let Some(link) = self.link.take() {
            // SAFETY: the request's memory is still there: its end would have taken the callback from the engine, or the
            // link from it. When a worker exits, requests are never freed before the clients.
            note(unsafe { link.as_ref() });
        }
    }
}

/// Calls a handler, which may retain these results' values.
fn deliver(
    results: &[ngx_http_memcache_result_t],
    values: &[Bytes],
    handler: impl FnOnce(&[ngx_http_memcache_result_t]),
) {
    let mut delivery = Delivery { results, values };
    let outer = DELIVERY.swap(&raw mut delivery, Ordering::Relaxed);
    handler(results);
    DELIVERY.store(outer, Ordering::Relaxed);
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.leave(Link::cancelled);
    }
}

/// The value of a result that is being delivered; `None` for any other.
pub fn delivered(result: *const ngx_http_memcache_result_t) -> Option<Bytes> {
    // SAFETY: it is set only while `deliver` waits for the handler that calls this, on the same thread: callers check.
    let (results, values) = unsafe {
        let delivery = DELIVERY.load(Ordering::Relaxed).as_ref()?;
        (&*delivery.results, &*delivery.values)
    };
    let offset = result.addr().checked_sub(results.as_ptr().addr())?;
    let index = offset.checked_div(size_of::<ngx_http_memcache_result_t>())?;
    results.get(index).filter(|found| ptr::eq(*found, result))?;
    values.get(index).map(memcache_engine::keep)
}
