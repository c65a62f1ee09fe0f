//! nginx's events that belong to no connection: posted ones, and the timer.

#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{addr_of_mut, NonNull};

use nginx_sys::{
    ngx_add_timer, ngx_del_timer, ngx_delete_posted_event, ngx_event_t, ngx_log_t, ngx_msec_t, ngx_post_event,
    ngx_posted_events, ngx_posted_next_events,
};

/// An event of nginx in the structure that its handler works on, which must not move once it has started.
pub struct Event(UnsafeCell<ngx_event_t>);

impl Event {
    /// An event without a handler; it is not posted and has no timer.
    pub fn new() -> Event {
        // SAFETY: nginx's own events begin as zeros.
        Event(UnsafeCell::new(unsafe { MaybeUninit::zeroed().assume_init() }))
    }

    /// Sets what the event calls.
    ///
    /// # Safety
    ///
    /// The event does not move from now on, and is deleted before it or `data` goes. `data` begins with what nginx's
    /// debug log takes for a connection: four words, the fourth printed as its socket. `log` outlives the event.
    pub unsafe fn start(
        &self,
        handler: unsafe extern "C" fn(*mut ngx_event_t),
        data: NonNull<c_void>,
        log: *mut ngx_log_t,
    ) {
        // SAFETY: it is ours, and only the event loop's thread comes here, as in all methods below; nginx holds no
        // reference, but pointers in its queues and its tree that it uses on the same thread.
        let event = unsafe { &mut *self.0.get() };
        event.handler = Some(handler);
        event.data = data.as_ptr();
        event.log = log;
    }

    /// Has the handler called in this turn of the event loop, once, after its events were read.
    pub fn post(&self) {
        // SAFETY: see `start`; nginx's queue is there in every worker.
        unsafe { ngx_post_event(self.0.get(), addr_of_mut!(ngx_posted_events)) };
    }

    /// Has the handler called in the next turn of the event loop, which then does not wait.
    pub fn post_next(&self) {
        // SAFETY: as in `post`.
        unsafe { ngx_post_event(self.0.get(), addr_of_mut!(ngx_posted_next_events)) };
    }

    /// The same, also if it was to be called in this turn.
    pub fn put_off(&self) {
        self.delete_posted();
        self.post_next();
    }

    /// Whether the handler is going to be called, other than by the timer.
    pub fn is_posted(&self) -> bool {
        // SAFETY: see `start`.
        unsafe { (*self.0.get()).posted() != 0 }
    }

    /// Has the handler called after `delay` milliseconds, instead of when it was to be called before.
    pub fn set_timer(&self, delay: ngx_msec_t) {
        // nginx ignores a change by less than 300 ms, so a timer that moves is deleted first.
        self.delete_timer();
        // SAFETY: see `start`; nginx's tree of timers is there in every worker.
        unsafe { ngx_add_timer(self.0.get(), delay) };
    }

    /// Whether the timer is set.
    pub fn has_timer(&self) -> bool {
        // SAFETY: see `start`.
        unsafe { (*self.0.get()).timer_set() != 0 }
    }

    /// Whether a worker that exits gracefully need not wait for the timer.
    pub fn set_cancelable(&self, cancelable: bool) {
        // SAFETY: see `start`.
        unsafe { (*self.0.get()).set_cancelable(cancelable.into()) };
    }

    /// Takes the timer back.
    pub fn delete_timer(&self) {
        // SAFETY: see `start`; a timer that is set is in nginx's tree.
        unsafe {
            if (*self.0.get()).timer_set() != 0 {
                ngx_del_timer(self.0.get());
            }
        }
    }

    /// Takes the event out of nginx's hands.
    pub fn delete(&self) {
        self.delete_timer();
        self.delete_posted();
    }

    fn delete_posted(&self) {
        // SAFETY: see `start`; an event that is posted is in one of nginx's queues.
        unsafe {
            if (*self.0.get()).posted() != 0 {
                ngx_delete_posted_event(self.0.get());
            }
        }
    }
}
