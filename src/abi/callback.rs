//! A sibling's handler: how it gets its answer, and how it is forgotten with its request.

#![allow(unsafe_code)]

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use bytes::Bytes;
use memcache_engine::{Answer, CallId, Instant, Outcome, Part};
use nginx_sys::{ngx_http_cleanup_add, ngx_http_cleanup_t, ngx_http_request_t, ngx_uint_t, NGX_HTTP_MODULE};

use super::outcome;
use crate::boundary::guard;
use crate::clock;
use crate::driver::Driver;
use crate::sys::*;
use crate::variables::Tally;

/// How many cleanup records of a request are looked at for one that is free again.
const LOOK_FOR_SPARE: usize = 16;

/// What a sibling gave to be called.
#[derive(Clone, Copy)]
pub enum Handler {
    /// With the answer of an operation.
    One(unsafe extern "C" fn(*mut c_void, *const ngx_http_memcache_result_t)),
    /// With those of a batch.
    Many(unsafe extern "C" fn(*mut c_void, *const *const ngx_http_memcache_result_t, ngx_uint_t)),
}

/// What the engine keeps with an operation. Dropping it forgets the handler.
pub struct Callback {
    handler: Handler,
    data: *mut c_void,
    link: Option<NonNull<Link>>,
}

/// An operation in the list of what its request has to clean up. It lives in the request's pool and is never taken out
/// of the list, which nginx may be walking: it is marked, and used again by the request's next operation.
struct Link {
    driver: Cell<*const Driver>,
    /// 0: the record is free.
    call: Cell<u64>,
    /// The request's, in the same pool.
    tally: NonNull<Tally>,
    binding: Cell<Binding>,
}

/// What binds an operation to its request.
#[derive(Clone, Copy)]
pub struct Binding {
    /// Whether it is cancelled when the request ends.
    pub cancels: bool,
    /// How many operations it consists of.
    pub operations: usize,
    /// Whether they are such as hit or miss.
    pub reads: bool,
}

impl Link {
    fn tally(&self) -> &Tally {
        // SAFETY: the tally is in the pool that the link is in.
        unsafe { self.tally.as_ref() }
    }

    /// The operation has begun.
    fn begin(&self, call: CallId) {
        self.call.set(call.to_u64());
        self.tally().begin(self.binding.get().operations, self.latest());
    }

    /// It has been answered.
    fn answered(&self, results: &[ngx_http_memcache_result_t]) {
        let reads = self.binding.get().reads;
        results.iter().for_each(|result| self.tally().note(reads, outcome::shown(result.status, reads)));
        if self.call.replace(0) != 0 {
            self.tally().end(self.latest());
        }
    }

    /// It has been taken back, if it has not ended.
    fn cancelled(&self) {
        if self.call.replace(0) != 0 {
            self.tally().note(false, outcome::CANCELLED);
            self.tally().end(clock::now());
        }
    }

    /// When something happened last to the client: an operation was accepted, or a reply has come.
    fn latest(&self) -> Instant {
        // SAFETY: a driver lives as long as its cycle, which outlives the worker's requests.
        unsafe { self.driver.get().as_ref() }.map_or_else(clock::now, Driver::latest)
    }
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

    /// Binds the operation to a request: it is counted there, and when the main request ends, it is cancelled, or
    /// forgets the request.
    ///
    /// # Safety
    ///
    /// `request` points to a request or to nothing that looks like one.
    pub unsafe fn bind(
        &mut self,
        request: *mut ngx_http_request_t,
        driver: &Driver,
        binding: Binding,
    ) -> Result<(), Unbound> {
        // SAFETY: by the contract, and after the check of the signature, requests are there as long as their main one.
        let main = unsafe {
            if (*request).signature != NGX_HTTP_MODULE {
                return Err(Unbound::NotARequest);
            }
            (*request).main
        };
        // SAFETY: as above.
        unsafe {
            // A request that is being freed, which includes the log phase, has already cleaned up.
            if main.is_null() || (*main).count() == 0 {
                return Err(Unbound::NotARequest);
            }
        }
        // SAFETY: as above; cleanup records live as long as the main request.
        let link = unsafe { spare_link((*main).cleanup).or_else(|| new_link(main)) }.ok_or(Unbound::NoMemory)?;
        // SAFETY: it lives in the pool of the main request, which is there.
        let place = unsafe { link.as_ref() };
        place.driver.set(driver);
        place.binding.set(binding);
        self.link = Some(link);
        Ok(())
    }

    /// Where to note the operation's number, or why it has none.
    pub fn note(&self) -> impl FnOnce(&Result<CallId, super::Status>) {
        let link = self.link;
        move |call| {
            // SAFETY: called by the same call of the function table as `bind`, so the request is still there.
            let Some(link) = link.as_ref().map(|link| unsafe { link.as_ref() }) else { return };
            match *call {
                Ok(call) => link.begin(call),
                Err(status) => link.tally().refused(link.binding.get().operations, outcome::shown(status, false)),
            }
        }
    }

    /// The request is gone.
    pub fn unbind(&mut self) {
        self.link = None;
    }

    /// Delivers the answer. The handler may end the request, so nothing of it is used afterwards.
    pub fn run(self, answer: Answer, stand_in: bool) {
        let data = self.data;
        match (self.handler, answer) {
            (Handler::One(handler), answer) => {
                let (result, value) = outcome::result_of(answer, stand_in);
                let results = [result];
                self.answered(&results);
                // SAFETY: the sibling gave its handler and its data for this one call, and would have cancelled the
                // call if they had gone: its request's end did so.
                deliver(&results, &[value], |results| unsafe { handler(data, results.as_ptr()) });
            }
            (Handler::Many(handler), answer) => {
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
}

impl Callback {
    /// The request need not clean up any more.
    fn answered(mut self, results: &[ngx_http_memcache_result_t]) {
        if let Some(link) = self.link.take() {
            // SAFETY: as in `drop`.
            unsafe { link.as_ref() }.answered(results);
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
        if let Some(link) = self.link.take() {
            // SAFETY: the request is still there: its end would have taken the callback from the engine, and with it
            // the link, as `on_request_end` does. When a worker exits, requests are never freed before the clients.
            unsafe { link.as_ref() }.cancelled();
        }
    }
}

/// Why an operation cannot be bound to its request.
pub enum Unbound {
    /// It is none, or has ended.
    NotARequest,
    NoMemory,
}

/// A record of ours that is free again, so that a long request with many operations does not grow.
///
/// # Safety
///
/// The list is that of a request that is there.
unsafe fn spare_link(mut cleanup: *mut ngx_http_cleanup_t) -> Option<NonNull<Link>> {
    for _ in 0..LOOK_FOR_SPARE {
        // SAFETY: by the contract; records with our handler are ours.
        unsafe {
            let record = cleanup.as_ref()?;
            if record.handler.is_some_and(|handler| handler as usize == on_request_end as *const () as usize) {
                let link = NonNull::new(record.data.cast::<Link>())?;
                if link.as_ref().call.get() == 0 {
                    return Some(link);
                }
            }
            cleanup = record.next;
        }
    }
    None
}

/// # Safety
///
/// The request is there.
unsafe fn new_link(main: *mut ngx_http_request_t) -> Option<NonNull<Link>> {
    // SAFETY: by the contract; the record comes with memory of the size asked for, aligned for pointers.
    unsafe {
        let tally = Tally::of(main)?;
        let cleanup = ngx_http_cleanup_add(main, size_of::<Link>()).as_mut()?;
        let link = NonNull::new(cleanup.data.cast::<Link>())?;
        let binding = Cell::new(Binding { cancels: true, operations: 1, reads: false });
        link.write(Link { driver: Cell::new(ptr::null()), call: Cell::new(0), tally, binding });
        cleanup.handler = Some(on_request_end);
        Some(link)
    }
}

/// The tally of a request that has an operation of ours among its cleanup records.
///
/// # Safety
///
/// The list is that of a request that is there.
pub unsafe fn tally_in_cleanups(mut cleanup: *mut ngx_http_cleanup_t) -> Option<NonNull<Tally>> {
    loop {
        // SAFETY: by the contract; records with our handler are ours.
        unsafe {
            let record = cleanup.as_ref()?;
            if record.handler.is_some_and(|handler| handler as usize == on_request_end as *const () as usize) {
                return Some(record.data.cast::<Link>().as_ref()?.tally);
            }
            cleanup = record.next;
        }
    }
}

unsafe extern "C" fn on_request_end(data: *mut c_void) {
    guard((), || {
        // SAFETY: nginx calls this with the data of the record, which `new_link` wrote, before it frees the request.
        let Some(link) = (unsafe { data.cast::<Link>().as_ref() }) else { return };
        // SAFETY: the request is still there, and is logged after this.
        unsafe { link.tally().keep_for_log() };
        let call = link.call.get();
        if call == 0 {
            return;
        }
        link.cancelled();
        // SAFETY: a driver lives as long as its cycle, which outlives the worker's requests.
        if let Some(driver) = unsafe { link.driver.get().as_ref() } {
            let call = CallId::from_u64(call);
            if link.binding.get().cancels {
                // The link is free already, and dropping the callback says so again while it is there.
                drop(driver.cancel(call));
            } else {
                driver.with_callback(call, Callback::unbind);
            }
        }
    });
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
