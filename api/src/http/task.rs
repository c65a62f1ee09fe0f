//! A future that belongs to a request.

use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use ngx::core::Status;
use ngx::ffi::{
    ngx_cycle, ngx_delete_posted_event, ngx_event_t, ngx_http_cleanup_add, ngx_http_request_t, ngx_int_t,
    ngx_post_event, ngx_posted_events,
};
use ngx::http::{HTTPStatus, Request};

use super::log;
use super::panic::caught;

/// A future that belongs to a request, and is dropped when the request ends.
///
/// It is shared by a cleanup record of the main request and by its wakers. A waker may outlive the request and be
/// cloned, used and dropped on any thread; everything else happens on the worker's event loop. Woken on another
/// thread, it does nothing.
///
/// Invariant: `event` is in nginx's queue of posted events only while `request` is set, and so while the record of the
/// request keeps the task alive.
pub(super) struct Task {
    /// The thread of the event loop.
    owner: ThreadId,
    /// NULL when the request has ended, or the task has nothing more to do with it.
    request: Cell<*mut ngx_http_request_t>,
    place: Place,
    /// None while it is polled, and when it is over.
    future: Cell<Option<Handling>>,
    /// What a phase handler is to return when the phases are run again.
    result: Cell<Option<Status>>,
    event: UnsafeCell<ngx_event_t>,
}

/// An async block that ends by doing something with its request.
pub(super) type Handling = Pin<Box<dyn Future<Output = Status>>>;

/// Where in the processing of the request the handler was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// By its location, which has it as its content handler.
    Content,
    /// By the phase engine, as its handler with this number.
    Phase(ngx_int_t),
}

// SAFETY: other threads reach a task through its wakers alone. They read `owner`, which never changes, and may drop the
// last reference; the future is gone by then, because a request holds its task until it has dropped the future.
unsafe impl Send for Task {}
// SAFETY: as above.
unsafe impl Sync for Task {}

impl Task {
    /// A task of this request, which nobody has polled yet. `None`: no memory.
    ///
    /// `resume` is called, from a posted event, when the task was woken.
    ///
    /// # Safety
    ///
    /// `request` is alive.
    pub(super) unsafe fn new(
        request: *mut ngx_http_request_t,
        place: Place,
        future: Handling,
        resume: unsafe extern "C" fn(*mut ngx_event_t),
    ) -> Option<Arc<Self>> {
        // SAFETY: the request is alive, says the caller; nginx puts the record at its main request.
        let record = unsafe { ngx_http_cleanup_add(request, 0).as_mut()? };

        // SAFETY: an event of zeros is what nginx's own modules start with.
        let mut event: ngx_event_t = unsafe { mem::zeroed() };
        event.handler = Some(resume);
        // SAFETY: nginx sets ngx_cycle before it handles a request.
        event.log = unsafe { (*ngx_cycle).log };

        let task = Arc::new(Task {
            owner: thread::current().id(),
            request: Cell::new(request),
            place,
            future: Cell::new(Some(future)),
            result: Cell::new(None),
            event: UnsafeCell::new(event),
        });
        // SAFETY: nobody else knows of the task yet.
        unsafe { (*task.event.get()).data = Arc::as_ptr(&task).cast_mut().cast() };

        record.data = Arc::into_raw(task.clone()).cast_mut().cast();
        record.handler = Some(request_ends);
        Some(task)
    }

    /// The task of an event that was given to `resume`.
    ///
    /// # Safety
    ///
    /// `event` is the event of a task, and nginx is calling its handler.
    pub(super) unsafe fn of_event(event: *const ngx_event_t) -> Arc<Self> {
        // SAFETY: new() put it there; the event runs, so the request has not ended and holds the task.
        unsafe {
            let task = (*event).data.cast::<Task>().cast_const();
            Arc::increment_strong_count(task);
            Arc::from_raw(task)
        }
    }

    /// The task of this request that was made at `place`, and not forgotten since.
    ///
    /// # Safety
    ///
    /// `request` is alive.
    pub(super) unsafe fn find(request: *mut ngx_http_request_t, place: Place) -> Option<Arc<Self>> {
        // SAFETY: the request, and with it the main one, is alive, says the caller.
        let mut record = unsafe { (*(*request).main).cleanup };

        // SAFETY: the records of a living request are good.
        while let Some(this) = unsafe { record.as_ref() } {
            if this.handler.is_some_and(|handler| ptr::fn_addr_eq(handler, request_ends as RequestEnds)) {
                let task = this.data.cast::<Task>().cast_const();
                // SAFETY: new() put it there, and the record holds a reference.
                let found = unsafe { &*task };
                if found.request.get() == request && found.place == place {
                    // SAFETY: as above.
                    unsafe {
                        Arc::increment_strong_count(task);
                        return Some(Arc::from_raw(task));
                    }
                }
            }
            record = this.next;
        }
        None
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The request, unless it has ended or the task was told to forget it.
    pub(super) fn request(&self) -> Option<*mut ngx_http_request_t> {
        Some(self.request.get()).filter(|request| !request.is_null())
    }

    /// Leaves the request to others: the future is dropped, and no event comes any more.
    pub(super) fn forget_request(&self) {
        self.request.set(ptr::null_mut());

        let event = self.event.get();
        // SAFETY: the event belongs to this task, and this is the event loop's thread.
        unsafe {
            if (*event).posted() != 0 {
                ngx_delete_posted_event(event);
            }
        }
        discard(self.future.take());
    }

    /// Polls the future: what it ended with, if it did. A panic ends it with 500.
    pub(super) fn run(self: &Arc<Self>) -> Option<Status> {
        let mut future = self.future.take()?;
        let waker = Waker::from(self.clone());
        let mut context = Context::from_waker(&waker);
        let polled = caught(|| future.as_mut().poll(&mut context));

        // The request may have ended meanwhile, in the future's hands.
        let request = self.request();
        if let (Ok(Poll::Pending), Some(_)) = (&polled, request) {
            self.future.set(Some(future));
            return None;
        }
        discard(Some(future));

        match polled {
            Ok(Poll::Ready(status)) => request.map(|_| status),
            Ok(Poll::Pending) => None,
            Err(panic) => {
                // SAFETY: the request has not ended.
                log::error(unsafe { Request::from_ngx_http_request(request?) }, format_args!("the handler {panic}"));
                Some(HTTPStatus::INTERNAL_SERVER_ERROR.into())
            }
        }
    }

    /// What is kept for the next call of the phase handler; taken out.
    pub(super) fn take_result(&self) -> Option<Status> {
        self.result.take()
    }

    pub(super) fn set_result(&self, status: Status) {
        self.result.set(Some(status));
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    /// The task will be polled in this turn of the event loop, but never inside of this call.
    fn wake_by_ref(self: &Arc<Self>) {
        if thread::current().id() == self.owner && !self.request.get().is_null() {
            // SAFETY: this is the event loop's thread, and the request keeps the task and its event alive.
            unsafe { ngx_post_event(self.event.get(), &raw mut ngx_posted_events) };
        }
    }
}

type RequestEnds = unsafe extern "C" fn(*mut std::ffi::c_void);

/// The cleanup of the main request: runs once, when it is terminated or freed.
unsafe extern "C" fn request_ends(data: *mut std::ffi::c_void) {
    // SAFETY: the reference that new() put into the record.
    let task = unsafe { Arc::from_raw(data.cast::<Task>().cast_const()) };
    task.forget_request();
}

/// Drops a future; what it panics with on that occasion is lost, but does not reach nginx.
fn discard(future: Option<Handling>) {
    let _ = caught(|| drop(future));
}
