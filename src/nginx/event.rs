//! Events that belong to no connection: posted ones, and the timer.

#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::ptr::{addr_of_mut, NonNull};
use std::rc::{Rc, Weak};

use nginx_sys::{
    ngx_add_timer, ngx_del_timer, ngx_delete_posted_event, ngx_event_t, ngx_msec_t, ngx_post_event, ngx_posted_events,
    ngx_posted_next_events,
};

use super::global::Zeroed;
use super::guard::guard;
use super::log::Log;

/// An event that calls a function of its owner, which it is a part of. When it is dropped, nginx has no pointer to it.
pub struct Event<T: 'static>(Rc<Inner<T>>);

#[repr(C)]
struct Inner<T: 'static> {
    /// nginx's debug log prints an event's data as if it were a connection: this is the part with its socket.
    ident: [usize; 4],
    owner: Weak<T>,
    handler: fn(&T),
    event: UnsafeCell<ngx_event_t>,
}

impl<T> Event<T> {
    /// An event that is not posted and has no timer. It is on the thread of the event loop.
    pub fn new(owner: Weak<T>, handler: fn(&T), log: Log<'static>) -> Event<T> {
        let inner = Rc::new(Inner {
            ident: [0, 0, 0, usize::MAX],
            owner,
            handler,
            event: UnsafeCell::new(ngx_event_t::zeroed()),
        });
        debug_assert_eq!(inner.ident.last(), Some(&usize::MAX));
        // SAFETY: nobody else knows the event yet. From now on nginx has pointers to it, in its queues and its tree, while
        // it is posted or has a timer. It uses them on this thread, as all methods do, and `drop` takes them back.
        unsafe {
            let event = inner.event.get();
            (*event).handler = Some(fire::<T>);
            (*event).data = Rc::as_ptr(&inner).cast_mut().cast();
            (*event).log = log.as_ptr();
        }
        Event(inner)
    }

    fn as_ptr(&self) -> *mut ngx_event_t {
        self.0.event.get()
    }

    /// Posts the event: the handler runs once, in this turn of the event loop, after its events were read.
    pub fn post(&self) {
        // SAFETY: see `new`; nginx's queue is there in every worker.
        unsafe { ngx_post_event(self.as_ptr(), addr_of_mut!(ngx_posted_events)) };
    }

    /// Posts the event for the next turn of the event loop, which then does not wait.
    pub fn post_next(&self) {
        // SAFETY: as in `post`.
        unsafe { ngx_post_event(self.as_ptr(), addr_of_mut!(ngx_posted_next_events)) };
    }

    /// The same, also if the event was posted for this turn.
    pub fn put_off(&self) {
        self.delete_posted();
        self.post_next();
    }

    /// Whether it is posted.
    pub fn is_posted(&self) -> bool {
        // SAFETY: see `new`.
        unsafe { (*self.as_ptr()).posted() != 0 }
    }

    /// Sets the timer to `delay` milliseconds from now, in place of its former time.
    pub fn set_timer(&self, delay: ngx_msec_t) {
        // nginx ignores a change by less than 300 ms, so a timer that moves is deleted first.
        self.delete_timer();
        // SAFETY: see `new`; nginx's tree of timers is there in every worker.
        unsafe { ngx_add_timer(self.as_ptr(), delay) };
    }

    /// Whether the timer is set.
    pub fn has_timer(&self) -> bool {
        // SAFETY: see `new`.
        unsafe { (*self.as_ptr()).timer_set() != 0 }
    }

    /// Whether a worker that exits gracefully need not wait for the timer.
    pub fn set_cancelable(&self, cancelable: bool) {
        // SAFETY: see `new`.
        unsafe { (*self.as_ptr()).set_cancelable(cancelable.into()) };
    }

    /// Deletes the timer.
    pub fn delete_timer(&self) {
        if self.has_timer() {
            // SAFETY: see `new`; a timer that is set is in nginx's tree.
            unsafe { ngx_del_timer(self.as_ptr()) };
        }
    }

    /// Deletes the timer, and the event from the queue.
    pub fn delete(&self) {
        self.delete_timer();
        self.delete_posted();
    }

    fn delete_posted(&self) {
        if self.is_posted() {
            // SAFETY: see `new`; an event that is posted is in one of nginx's queues.
            unsafe { ngx_delete_posted_event(self.as_ptr()) };
        }
    }
}

impl<T> Drop for Event<T> {
    fn drop(&mut self) {
        self.delete();
    }
}

unsafe extern "C" fn fire<T: 'static>(event: *mut ngx_event_t) {
    guard((), || {
        // SAFETY: nginx calls this with an event that was not dropped. `owner` and `handler` never change.
        let inner = unsafe { NonNull::new((*event).data.cast::<Inner<T>>()).map(|inner| inner.as_ref()) };
        let Some((owner, handler)) = inner.and_then(|inner| Some((inner.owner.upgrade()?, inner.handler))) else {
            return;
        };
        // The owner, and so the event, may go when this returns.
        handler(&owner);
    });
}
