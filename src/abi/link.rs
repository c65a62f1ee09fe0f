//! A call that is bound to a request.

#![allow(unsafe_code)]

use core::cell::Cell;
use core::ptr::NonNull;

use memcache_engine::{CallId, Instant};

use super::binding::{Binding, Calls};
use super::outcome::{self, Status};
use super::stats::RequestStats;
use super::sys::ngx_http_memcache_result_t;
use crate::nginx::clock;

/// A call of an owner. It lives in the request's pool. When the call has ended, the link is marked as free, and the next
/// call uses it.
pub struct Link {
    next: Option<NonNull<Link>>,
    /// The owner's, in the pool that the link is in.
    stats: NonNull<RequestStats>,
    /// The client's calls; `None` until the link is used.
    calls: Cell<Option<NonNull<dyn Calls>>>,
    /// 0: the link is free.
    call: Cell<u64>,
    binding: Cell<Binding>,
}

impl Link {
    /// Whether it can be used for a call.
    pub fn is_free(&self) -> bool {
        self.call.get() == 0
    }

    /// The next one of its owner.
    pub fn next(&self) -> Option<NonNull<Link>> {
        self.next
    }

    /// Is used for a call, which is about to be submitted.
    pub fn take(&self, calls: &(dyn Calls + 'static), binding: Binding) {
        self.calls.set(Some(calls.into()));
        self.binding.set(binding);
    }

    /// A free link in front of `next`.
    ///
    /// # Safety
    ///
    /// `stats` lives as long as the link.
    pub unsafe fn new(stats: NonNull<RequestStats>, next: Option<NonNull<Link>>) -> Link {
        Link {
            next,
            stats,
            calls: Cell::new(None),
            call: Cell::new(0),
            binding: Cell::new(Binding { cancels: true, operations: 1, reads: false }),
        }
    }

    fn stats(&self) -> &RequestStats {
        // SAFETY: by the contract of `new`.
        unsafe { self.stats.as_ref() }
    }

    /// The operation has begun, or was refused with this status.
    pub fn submitted(&self, call: &Result<CallId, Status>) {
        let operations = self.binding.get().operations;
        match *call {
            Ok(call) => {
                self.call.set(call.to_u64());
                self.stats().begin(operations, self.latest());
            }
            Err(status) => self.stats().refused(operations, outcome::logged_status(status, false)),
        }
    }

    /// It has been answered.
    pub fn answered(&self, results: &[ngx_http_memcache_result_t]) {
        let reads = self.binding.get().reads;
        results.iter().for_each(|result| self.stats().note(reads, outcome::logged_status(result.status, reads)));
        if self.call.replace(0) != 0 {
            self.stats().end(self.latest());
        }
    }

    /// It has been cancelled, if it has not ended.
    pub fn cancelled(&self) {
        if self.call.replace(0) != 0 {
            self.stats().note(false, outcome::CANCELLED);
            self.stats().end(clock::now());
        }
    }

    /// The request ends.
    pub fn end(&self) {
        let call = self.call.get();
        if call == 0 {
            return;
        }
        self.cancelled();
        if let Some(calls) = self.calls() {
            let call = CallId::from_u64(call);
            if self.binding.get().cancels {
                // The link is free already, and dropping the callback says so again while it is there.
                calls.cancel(call);
            } else {
                calls.unbind(call);
            }
        }
    }

    fn calls(&self) -> Option<&dyn Calls> {
        // SAFETY: a client lives as long as its cycle, which outlives the worker's requests.
        self.calls.get().map(|calls| unsafe { calls.as_ref() })
    }

    /// The time of the client's last event: an operation was accepted, or a reply has arrived.
    fn latest(&self) -> Instant {
        self.calls().map_or_else(clock::now, Calls::latest)
    }
}
