//! Events of the event loop: posted ones, and timers.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use nginx_sys::{
    ngx_add_timer, ngx_del_timer, ngx_delete_posted_event, ngx_event_t, ngx_msec_t, ngx_post_event, ngx_posted_events,
    ngx_posted_next_events,
};

use super::cycle;

/// When the handler of a posted event is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// In this turn of the event loop, behind what is posted already.
    Soon,
    /// In the next turn: other events come first.
    Later,
}

impl When {
    /// # Safety
    ///
    /// The event has a handler and a log, and is taken out of the queue before it goes.
    unsafe fn post(self, event: *mut ngx_event_t) {
        // SAFETY: guaranteed by the caller; nginx's queues are there in every worker.
        unsafe {
            match self {
                When::Soon => ngx_post_event(event, &raw mut ngx_posted_events),
                When::Later => ngx_post_event(event, &raw mut ngx_posted_next_events),
            }
        }
    }
}

/// An event of zeros, which is what nginx's own modules start with.
const fn zeros() -> ngx_event_t {
    // SAFETY: a structure of C without references.
    unsafe { mem::zeroed() }
}

/// The event of a task that is counted by an `Arc`. While it is posted, nginx's queue has one of the counts.
///
/// The task may be held by other threads, if they leave its event alone.
pub(crate) struct Wakeup(UnsafeCell<ngx_event_t>);

/// What has such an event.
pub(crate) trait Wakes: Sized {
    /// Its event, always the same.
    fn wakeup(&self) -> &Wakeup;

    /// The event was posted. It must not panic.
    fn fire(self: Arc<Self>);
}

impl Wakeup {
    pub(crate) const fn new() -> Self {
        Wakeup(UnsafeCell::new(zeros()))
    }

    fn is_posted(&self) -> bool {
        // SAFETY: this is the thread of the event loop, and nobody else has a reference to the event.
        unsafe { (*self.0.get()).posted() != 0 }
    }

    /// Has `fire` called, once. The count is the queue's from now on, unless the event is in it already.
    pub(crate) fn post<T: Wakes>(task: Arc<T>, when: When) {
        if task.wakeup().is_posted() {
            return;
        }
        let event = task.wakeup().0.get();
        // SAFETY: as above. The count keeps the event where it is until it is fired, or taken back.
        unsafe {
            (*event).handler = Some(fire::<T>);
            (*event).log = cycle::log();
            (*event).data = Arc::into_raw(task).cast_mut().cast();
            when.post(event);
        }
    }

    /// Takes the event out of the queue: `fire` is not called.
    pub(crate) fn take_back<T: Wakes>(task: &Arc<T>) {
        if task.wakeup().is_posted() {
            // SAFETY: as above; an event that is posted is in one of nginx's queues, with a count that `post` gave it.
            unsafe {
                ngx_delete_posted_event(task.wakeup().0.get());
                Arc::decrement_strong_count(Arc::as_ptr(task));
            }
        }
    }
}

unsafe extern "C" fn fire<T: Wakes>(event: *mut ngx_event_t) {
    // SAFETY: `post` has put the count there. nginx has taken the event out of its queue, and so the count is ours.
    unsafe { Arc::from_raw((*event).data.cast_const().cast::<T>()) }.fire();
}

/// An event with a value, for whose handler it is. It is nginx's no more when it is dropped.
pub(crate) struct Event<T: 'static>(Rc<Inner<T>>);

#[repr(C)]
struct Inner<T: 'static> {
    /// What nginx's debug log takes for a connection with its socket when it prints the event, whose data this is.
    ident: [usize; 4],
    handler: fn(&T),
    event: UnsafeCell<ngx_event_t>,
    value: T,
}

impl<T> Event<T> {
    /// An event that is not posted and has no timer. The handler must not panic.
    pub(crate) fn new(value: T, handler: fn(&T)) -> Self {
        let ident = [0, 0, 0, usize::MAX];
        let inner = Rc::new(Inner { ident, handler, event: UnsafeCell::new(zeros()), value });
        debug_assert_eq!(inner.ident.last(), Some(&usize::MAX));
        // SAFETY: nobody else knows the event yet. From now on nginx has pointers to it while it is posted or has a timer.
        // It uses them on this thread, as all methods do, and `drop` takes them back.
        unsafe {
            let event = inner.event.get();
            (*event).handler = Some(fires::<T>);
            (*event).data = Rc::as_ptr(&inner).cast_mut().cast();
            (*event).log = cycle::log();
        }
        Event(inner)
    }

    /// Has the handler called in the next turn of the event loop.
    pub(crate) fn post_next(&self) {
        // SAFETY: see `new`.
        unsafe { When::Later.post(self.0.event.get()) };
    }

    /// Has the handler called after so many milliseconds. It has no timer yet.
    pub(crate) fn set_timer(&self, delay: ngx_msec_t) {
        // SAFETY: see `new`; nginx's tree of timers is there in every worker.
        unsafe { ngx_add_timer(self.0.event.get(), delay) };
    }

    pub(crate) fn has_timer(&self) -> bool {
        // SAFETY: see `new`.
        unsafe { (*self.0.event.get()).timer_set() != 0 }
    }

    /// Whether a worker that exits gracefully need not wait for the timer.
    pub(crate) fn set_cancelable(&self, cancelable: bool) {
        // SAFETY: see `new`.
        unsafe { (*self.0.event.get()).set_cancelable(cancelable.into()) };
    }
}

impl<T> Deref for Event<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Drop for Event<T> {
    fn drop(&mut self) {
        let event = self.0.event.get();
        // SAFETY: see `new`; what is posted is in a queue, and a timer that is set is in the tree.
        unsafe {
            if (*event).posted() != 0 {
                ngx_delete_posted_event(event);
            }
            if (*event).timer_set() != 0 {
                ngx_del_timer(event);
            }
        }
    }
}

unsafe extern "C" fn fires<T: 'static>(event: *mut ngx_event_t) {
    // SAFETY: nginx calls this with an event that was not dropped. It may be dropped meanwhile, so it is counted once more.
    let inner = unsafe {
        let inner = (*event).data.cast_const().cast::<Inner<T>>();
        Rc::increment_strong_count(inner);
        Rc::from_raw(inner)
    };
    (inner.handler)(&inner.value);
}
