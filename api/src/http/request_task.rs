//! A future that belongs to a request.

#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::mem;
use std::ptr;
use std::sync::Arc;

use memcache_bits::request as bits;
use ngx::core::Status;
use ngx::ffi::{ngx_http_cleanup_t, ngx_int_t, ngx_palloc, ngx_pool_cleanup_t, NGX_ALIGNMENT};
use ngx::http::HTTPStatus;

use super::exit;
use super::task::{Owner, Task, TaskRef};
use crate::event_loop;
#[cfg(feature = "tokio")]
use crate::event_loop::notify;
use crate::event_loop::turn::Kind;
use crate::nginx::log;
use crate::nginx::request::RequestRef;

/// A future that belongs to a request, and is dropped when the request ends. It ends by doing something with its request.
pub(super) type RequestTask = TaskRef<OfRequest>;

/// The request of a task.
pub(super) struct OfRequest {
    /// None when the request has ended, or the task has nothing more to do with it. Until then an exiting worker waits.
    request: Cell<Option<RequestRef<'static>>>,
    handler: Cell<Handler>,
    /// The request's, when the handler was called: each internal redirect takes one.
    uri_changes: Cell<u32>,
    /// Whether the header was sent before: a request has a `post_action` when it was answered.
    header_sent: Cell<bool>,
    /// What a phase handler is to return when the phases are run again.
    result: Cell<Option<Status>>,
}

/// Which handler it was that made a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handler {
    /// The content handler of its location.
    Content,
    /// The one with this number of the phase engine.
    Phase(ngx_int_t),
}

/// What the request has in its pool. Two cleanups end it, whichever comes first: that of the request, before the request is
/// logged, and that of the pool, without which a task that was begun while the request ended would be left with a request
/// that is gone. All of it is one allocation.
#[repr(C)]
struct Record {
    early: ngx_http_cleanup_t,
    late: ngx_pool_cleanup_t,
    task: Option<RequestTask>,
}

/// How many tasks of requests that have ended are kept for the next ones, and how large their futures may be, in bytes.
const SPARE_TASKS: usize = if cfg!(no_spare_tasks) { 0 } else { 1024 };
const SPARE_SIZE: usize = 2048;

thread_local! {
    /// Nobody else knows of them. An allocation per request costs as much as all that a task does with it.
    static SPARE: RefCell<Vec<Arc<Task<OfRequest>>>> = const { RefCell::new(Vec::new()) };
}

/// Which handler nginx is calling for the request.
pub(super) fn handler_of(request: RequestRef<'_>) -> Handler {
    match request.read(|r| (r.content_handler.is_some(), r.phase_handler)) {
        (true, _) if request.is_in_content_phase() => Handler::Content,
        (_, phase) => Handler::Phase(phase),
    }
}

impl RequestTask {
    /// A task for the request, without a future yet. `None`: no memory.
    pub(super) fn begin(request: RequestRef<'_>, handler: Handler) -> Option<Self> {
        let task = Self::spare();
        // SAFETY: the record, or its absence, makes the task forget the request when it ends.
        task.bind(unsafe { request.extend() }, handler)?;
        Some(task)
    }

    /// A task without a request and a future.
    fn spare() -> Self {
        match SPARE.with_borrow_mut(Vec::pop) {
            Some(task) => TaskRef::of(task),
            None => TaskRef::new(OfRequest {
                request: Cell::new(None),
                handler: Cell::new(Handler::Content),
                uri_changes: Cell::new(0),
                header_sent: Cell::new(false),
                result: Cell::new(None),
            }),
        }
    }

    /// `None`: no memory.
    fn bind(&self, request: RequestRef<'static>, handler: Handler) -> Option<()> {
        const { assert!(mem::align_of::<Record>() <= NGX_ALIGNMENT) };

        event_loop::entered();
        // Without it, a task that another thread wakes is not woken; it is tried again with the next one.
        #[cfg(feature = "tokio")]
        let _ = notify::start();

        let pool = request.read(|r| r.pool);
        // SAFETY: the request, its main request and its pool are there. What comes from a pool is aligned, and there until
        // the pool is destroyed. `ngx_http_cleanup_add()` and `ngx_pool_cleanup_add()` do the same.
        unsafe {
            let record = ngx_palloc(pool, mem::size_of::<Record>()).cast::<Record>();
            if record.is_null() {
                return None;
            }
            let main = request.main().as_ptr();
            let early = ngx_http_cleanup_t { handler: Some(ends), data: record.cast(), next: (*main).cleanup };
            let late = ngx_pool_cleanup_t { handler: Some(ends), data: record.cast(), next: (*pool).cleanup };
            record.write(Record { early, late, task: Some(self.clone()) });
            (*main).cleanup = &raw mut (*record).early;
            (*pool).cleanup = &raw mut (*record).late;
        }
        self.request.set(Some(request));
        exit::hold();
        self.handler.set(handler);
        self.uri_changes.set(request.read(bits::uri_changes));
        self.header_sent.set(request.read(bits::header_sent));
        self.result.set(None);
        Some(())
    }

    /// The task of this request that was made by this handler, and not forgotten since. One of before an internal redirect,
    /// which has begun the phases anew, is forgotten.
    pub(super) fn find(request: RequestRef<'_>, handler: Handler) -> Option<Self> {
        let mut cleanup = request.main().read(|main| main.cleanup);

        // SAFETY: the records of a request that is there are good.
        while let Some(this) = unsafe { cleanup.as_ref() } {
            if this.handler.is_some_and(|handler| ptr::fn_addr_eq(handler, ends as Ends)) {
                // SAFETY: bind() put it there.
                let task = unsafe { &(*this.data.cast::<Record>()).task };
                let is_it = |task: &&Self| task.request.get() == Some(request) && task.handler.get() == handler;
                if let Some(task) = task.as_ref().filter(is_it).filter(|task| !task.forget_if_redirected()) {
                    return Some(task.clone());
                }
            }
            cleanup = this.next;
        }
        None
    }

    /// Forgets the request if it was redirected since: it is another handler's by now. Says whether it was.
    pub(super) fn forget_if_redirected(&self) -> bool {
        let redirected = self.request().is_some_and(|r| r.read(bits::uri_changes) != self.uri_changes.get());
        if redirected {
            self.forget_request();
        }
        redirected
    }

    /// Whether the handler has sent a header.
    pub(super) fn has_answered(&self) -> bool {
        !self.header_sent.get() && self.request().is_some_and(|r| r.read(bits::header_sent))
    }

    /// The request, unless it has ended or the task was told to forget it.
    pub(super) fn request(&self) -> Option<RequestRef<'_>> {
        self.request.get()
    }

    /// Leaves the request to others: the future is dropped, and no event comes any more.
    pub(super) fn forget_request(&self) {
        if self.request.take().is_some() {
            exit::release();
        }
        self.give_up();
    }

    /// Polls the future: what it ended with, if it did and the request is still the task's. A panic ends it with 500.
    pub(super) fn run(&self) -> Option<Status> {
        self.request()?;
        let ended = self.poll()?;
        // The request may have ended meanwhile, in the future's hands.
        let mut request = self.request()?;
        Some(ended.unwrap_or_else(|panic| {
            log::error(request.get_mut(), format_args!("the handler {panic}"));
            HTTPStatus::INTERNAL_SERVER_ERROR.into()
        }))
    }

    /// What is kept for the next call of the phase handler; taken out.
    pub(super) fn take_result(&self) -> Option<Status> {
        self.result.take()
    }
}

impl Owner for OfRequest {
    type Output = Status;

    const KIND: Kind = Kind::Request;

    fn resume(task: RequestTask) {
        if task.forget_if_redirected() {
            return;
        }
        let Some(request) = task.request() else { return };
        let connection = request.connection();
        request.attach_log();
        if let Some(status) = task.run() {
            request.stop_watching();
            if task.handler.get() == Handler::Content || task.has_answered() {
                task.forget_request();
                request.finalize(status);
            } else {
                task.result.set(Some(status));
                request.run_phases();
            }
        }
        connection.run_posted_requests();
    }

    fn request(&self) -> Option<RequestRef<'static>> {
        self.request.get()
    }

    fn unused(mut task: Arc<Task<Self>>) {
        if Arc::get_mut(&mut task).is_none_or(|task| task.room() > SPARE_SIZE) {
            return;
        }
        // No longer when the thread ends.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_TASKS {
                spare.push(task);
            }
        });
    }
}

type Ends = unsafe extern "C" fn(*mut c_void);

/// The cleanup of the main request, when it is terminated or freed, and of its pool.
unsafe extern "C" fn ends(data: *mut c_void) {
    // SAFETY: bind() put the record there, and its memory is still there.
    let task = unsafe { (*data.cast::<Record>()).task.take() };
    if let Some(task) = task {
        task.forget_request();
    }
}
