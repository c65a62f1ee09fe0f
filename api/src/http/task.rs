//! A future that belongs to a request.

mod wake;

use std::cell::{Cell, RefCell, UnsafeCell};
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
use std::ptr;
#[cfg(feature = "tokio")]
use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use memcache_bits::request as bits;
use ngx::core::Status;
use ngx::ffi::{
    ngx_cycle, ngx_delete_posted_event, ngx_event_t, ngx_http_cleanup_add, ngx_http_request_t, ngx_int_t,
    ngx_pool_cleanup_add, pthread_t,
};
use ngx::http::{HTTPStatus, Request};

use super::exit;
use super::slot::{Handle, Slot};
use crate::event_loop;
use crate::event_loop::log;
#[cfg(feature = "tokio")]
use crate::event_loop::notify;
use crate::event_loop::panic::{caught, contain};
use crate::event_loop::turn::{self, Kind};
use crate::operation::call::counted_for;

/// A future that belongs to a request, and is dropped when the request ends. It ends by doing something with its
/// request.
///
/// It is shared by a record in the pool of the main request and by its wakers. A waker may outlive the request and be
/// cloned, used and dropped on any thread; everything else happens on the worker's event loop. Woken on another
/// thread, it does nothing, or, with the feature `tokio`, tells the event loop.
///
/// Invariant: `event` is in nginx's queue of posted events only while `request` is set, and so while the record of the
/// request keeps the task alive.
pub(super) struct Task {
    /// The thread of the event loop.
    owner: pthread_t,
    /// NULL when the request has ended, or the task has nothing more to do with it. Until then an exiting worker waits.
    request: Cell<*mut ngx_http_request_t>,
    place: Cell<Place>,
    /// The request's, when the handler was called: each internal redirect takes one.
    uri_changes: Cell<u32>,
    /// Whether the header was sent before: a request has a `post_action` when it was answered.
    header_sent: Cell<bool>,
    stage: Cell<Stage>,
    /// What a phase handler is to return when the phases are run again.
    result: Cell<Option<Status>>,
    /// Another thread has woken it, and the event loop does not know yet.
    #[cfg(feature = "tokio")]
    woken: AtomicBool,
    event: UnsafeCell<ngx_event_t>,
    /// Invariant: there is a future unless the stage is `Over`.
    slot: UnsafeCell<Slot>,
}

/// A reference of the event loop's to a task. With the last one the task becomes a spare one, unless a waker is left.
pub(super) struct TaskRef(ManuallyDrop<Arc<Task>>);

/// What the request has in its pool, and the event's data point to. Two cleanups end it, whichever comes first: that of
/// the request, before the request is logged, and that of the pool, without which a task that was begun while the
/// request ended would be left with a request that is gone.
struct Record {
    task: ManuallyDrop<TaskRef>,
    waker: ManuallyDrop<Waker>,
    /// Both were dropped.
    over: bool,
}

/// How many tasks of requests that have ended are kept for the next ones, and how large their futures may be, in bytes.
const SPARE_TASKS: usize = if cfg!(no_spare_tasks) { 0 } else { 1024 };
const SPARE_SIZE: usize = 2048;

thread_local! {
    /// Nobody else knows of them. An allocation per request costs as much as all that a task does with it.
    static SPARE: RefCell<Vec<Arc<Task>>> = const { RefCell::new(Vec::new()) };
}

/// What becomes of a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// It is being polled, and nobody else touches it.
    Polled,
    /// It was dropped.
    Over,
}

/// Where in the processing of the request the handler was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// By its location, which has it as its content handler.
    Content,
    /// By the phase engine, as its handler with this number.
    Phase(ngx_int_t),
}

// SAFETY: other threads reach a task through its wakers alone. They read `owner`, which never changes, and may drop the
// last reference, which does not drop the future: that is the event loop's to do, when the request ends.
unsafe impl Send for Task {}
// SAFETY: as above.
unsafe impl Sync for Task {}

impl Task {
    /// A task without a request and a future.
    pub(super) fn spare() -> TaskRef {
        let task = SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| {
            Arc::new(Task {
                owner: event_loop::this_thread(),
                request: Cell::new(ptr::null_mut()),
                place: Cell::new(Place::Content),
                uri_changes: Cell::new(0),
                header_sent: Cell::new(false),
                stage: Cell::new(Stage::Over),
                result: Cell::new(None),
                #[cfg(feature = "tokio")]
                woken: AtomicBool::new(false),
                // SAFETY: an event of zeros is what nginx's own modules start with.
                event: UnsafeCell::new(unsafe { mem::zeroed() }),
                slot: UnsafeCell::new(Slot::new()),
            })
        });
        TaskRef(ManuallyDrop::new(task))
    }

    /// Gives the future to a task that has none. `None`: no memory.
    #[inline(always)]
    pub(super) fn take(self: &Arc<Self>, future: impl Handle + 'static) -> Option<()> {
        debug_assert!(self.stage.get() == Stage::Over && self.request().is_none());
        // SAFETY: the stage is `Over`, so nobody uses the slot.
        unsafe { (*self.slot.get()).place_for(&future)?.fill(future) };
        self.stage.set(Stage::Waiting);
        Some(())
    }

    /// Makes it the task of this request, which nobody has polled yet. `None`: no memory; it has no future then.
    ///
    /// `resume` is called, from a posted event, when the task was woken.
    ///
    /// # Safety
    ///
    /// `request` is alive.
    pub(super) unsafe fn start(
        self: &Arc<Self>,
        request: *mut ngx_http_request_t,
        place: Place,
        resume: unsafe extern "C" fn(*mut ngx_event_t),
    ) -> Option<()> {
        // SAFETY: guaranteed by the caller.
        let bound = unsafe { self.bind(request, place, resume) };
        if bound.is_none() {
            self.discard();
        }
        bound
    }

    /// # Safety
    ///
    /// `request` is alive.
    unsafe fn bind(
        self: &Arc<Self>,
        request: *mut ngx_http_request_t,
        place: Place,
        resume: unsafe extern "C" fn(*mut ngx_event_t),
    ) -> Option<()> {
        event_loop::entered();
        // Without it, a task that another thread wakes is not woken; it is tried again with the next one.
        #[cfg(feature = "tokio")]
        let _ = notify::start();
        // SAFETY: the request and its pool are alive, says the caller; nginx puts the first at the main request.
        let (early, late) = unsafe {
            let early = ngx_http_cleanup_add(request, 0).as_mut()?;
            (early, ngx_pool_cleanup_add((*request).pool, mem::size_of::<Record>()).as_mut()?)
        };
        let record = late.data.cast::<Record>();

        // SAFETY: the event is in no queue. nginx sets ngx_cycle before it handles a request.
        unsafe {
            let event = self.event.get();
            (*event).handler = Some(resume);
            (*event).data = record.cast();
            (*event).log = (*ngx_cycle).log;
        }
        const { assert!(mem::align_of::<Record>() <= ngx::ffi::NGX_ALIGNMENT) };
        let task = ManuallyDrop::new(TaskRef(ManuallyDrop::new(self.clone())));
        let waker = ManuallyDrop::new(Waker::from(self.clone()));
        // SAFETY: nginx has made room for a record, aligned as all that comes from its pools.
        unsafe { record.write(Record { task, waker, over: false }) };
        early.data = record.cast();
        early.handler = Some(request_ends);
        late.handler = Some(request_ends);
        self.request.set(request);
        exit::hold();
        self.place.set(place);
        // SAFETY: the request is alive, says the caller.
        unsafe {
            self.uri_changes.set(bits::uri_changes(&*request));
            self.header_sent.set(bits::header_sent(&*request));
        }
        Some(())
    }

    /// The task of an event that was given to `resume`.
    ///
    /// # Safety
    ///
    /// `event` is the event of a task, and nginx is calling its handler.
    pub(super) unsafe fn of_event(event: *const ngx_event_t) -> TaskRef {
        // SAFETY: bind() put it there; the event runs, so the request has not ended and has its record.
        unsafe { TaskRef::clone(&(*(*event).data.cast::<Record>()).task) }
    }

    /// The task of this request that was made at `place`, and not forgotten since. One of before an internal redirect,
    /// which has begun the phases anew, is forgotten.
    ///
    /// # Safety
    ///
    /// `request` is alive.
    pub(super) unsafe fn find(request: *mut ngx_http_request_t, place: Place) -> Option<TaskRef> {
        // SAFETY: the request, and with it the main one, is alive, says the caller.
        let mut cleanup = unsafe { (*(*request).main).cleanup };

        // SAFETY: the records of a living request are good.
        while let Some(this) = unsafe { cleanup.as_ref() } {
            if this.handler.is_some_and(|handler| ptr::fn_addr_eq(handler, request_ends as RequestEnds)) {
                // SAFETY: bind() put it there.
                let task = unsafe { &(*this.data.cast::<Record>()).task };
                if task.request.get() == request && task.place.get() == place && !task.forget_if_redirected() {
                    return Some(TaskRef::clone(task));
                }
            }
            cleanup = this.next;
        }
        None
    }

    /// Forgets the request if it was redirected since: it is another handler's by now. Says whether it was.
    pub(super) fn forget_if_redirected(&self) -> bool {
        // SAFETY: a task has a request only while that is alive.
        let redirected = self.request().is_some_and(|r| unsafe { bits::uri_changes(&*r) } != self.uri_changes.get());
        if redirected {
            self.forget_request();
        }
        redirected
    }

    /// Whether the handler has sent a header.
    pub(super) fn has_answered(&self) -> bool {
        // SAFETY: as above.
        !self.header_sent.get() && self.request().is_some_and(|r| unsafe { bits::header_sent(&*r) })
    }

    pub(super) fn place(&self) -> Place {
        self.place.get()
    }

    /// The request, unless it has ended or the task was told to forget it.
    pub(super) fn request(&self) -> Option<*mut ngx_http_request_t> {
        Some(self.request.get()).filter(|request| !request.is_null())
    }

    /// Leaves the request to others: the future is dropped, and no event comes any more.
    pub(super) fn forget_request(&self) {
        if !self.request.replace(ptr::null_mut()).is_null() {
            exit::release();
        }
        let event = self.event.get();
        // SAFETY: the event belongs to this task, and this is the event loop's thread.
        unsafe {
            if (*event).posted() != 0 {
                ngx_delete_posted_event(event);
            }
        }
        if self.stage.get() == Stage::Waiting {
            self.discard();
        }
    }

    /// Polls the future: what it ended with, if it did. A panic ends it with 500.
    pub(super) fn run(self: &Arc<Self>) -> Option<Status> {
        let request = self.request()?;
        if self.stage.replace(Stage::Polled) != Stage::Waiting {
            // It is over, or in the middle of being polled, which goes on.
            return None;
        }
        // A copy that is not counted, as the request may end, and its record go, while this is used.
        // SAFETY: the task has a request, and so a record, which bind() wrote; the caller holds what the waker points to.
        let waker = unsafe { ptr::read(&raw const (*(*self.event.get()).data.cast::<Record>()).waker) };
        let mut context = Context::from_waker(&waker);
        // SAFETY: the stage was `Waiting`, so the future is there; while it is `Polled` nobody else touches it.
        let future = unsafe { (*self.slot.get()).future()? };
        let polled = turn::polling(Kind::Request, || {
            // SAFETY: the task has a request, which nobody else uses. What ends it, its response, is the last thing that
            // is done with it.
            caught(|| unsafe { counted_for(request, || future.poll(&mut context, request)) })
        });

        // The request may have ended meanwhile, in the future's hands.
        let request = self.request().map(|_| request);
        if let (Ok(Poll::Pending), Some(_)) = (&polled, request) {
            self.stage.set(Stage::Waiting);
            return None;
        }
        self.discard();

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

    /// Drops the future; what it panics with on that occasion is logged, and does not reach nginx.
    fn discard(&self) {
        self.stage.set(Stage::Over);
        // SAFETY: nobody uses the slot: the future is not being polled any more, as the callers know.
        contain("a future, dropped,", || unsafe { (*self.slot.get()).clear() });
    }

    /// What is kept for the next call of the phase handler; taken out.
    pub(super) fn take_result(&self) -> Option<Status> {
        self.result.take()
    }

    pub(super) fn set_result(&self, status: Status) {
        self.result.set(Some(status));
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> Self {
        TaskRef(self.0.clone())
    }
}

impl Deref for TaskRef {
    type Target = Arc<Task>;

    fn deref(&self) -> &Arc<Task> {
        &self.0
    }
}

impl Drop for TaskRef {
    fn drop(&mut self) {
        // SAFETY: it is not used afterwards.
        let mut task = unsafe { ManuallyDrop::take(&mut self.0) };
        // Whoever holds a waker still knows the task: it must not become another request's.
        let Some(last) = Arc::get_mut(&mut task) else { return };
        debug_assert!(last.stage.get() == Stage::Over && last.request.get().is_null());
        if last.slot.get_mut().size() > SPARE_SIZE {
            return;
        }
        last.result.set(None);
        // No longer when the thread ends.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_TASKS {
                spare.push(task);
            }
        });
    }
}

type RequestEnds = unsafe extern "C" fn(*mut std::ffi::c_void);

/// The cleanup of the main request, when it is terminated or freed, and of its pool.
unsafe extern "C" fn request_ends(data: *mut std::ffi::c_void) {
    let record = data.cast::<Record>();
    // SAFETY: bind() put the record there, and its memory is still there. It is read once, and nobody uses what was in
    // it afterwards.
    let (task, _waker) = unsafe {
        if mem::replace(&mut (*record).over, true) {
            return;
        }
        let Record { task, waker, .. } = record.read();
        (ManuallyDrop::into_inner(task), ManuallyDrop::into_inner(waker))
    };
    task.forget_request();
}
