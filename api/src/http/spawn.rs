//! Async blocks as handlers.

use std::future::Future;
use std::ptr;

use memcache_bits::request as bits;
use ngx::core::Status;
use ngx::ffi::{
    ngx_event_t, ngx_handle_read_event, ngx_http_block_reading, ngx_http_core_content_phase, ngx_http_core_run_phases,
    ngx_http_finalize_request, ngx_http_phase_handler_t, ngx_http_read_client_request_body,
    ngx_http_request_empty_handler, ngx_http_request_t, ngx_http_run_posted_requests, ngx_http_test_reading, ngx_int_t,
    ngx_post_event, ngx_posted_events, NGX_HTTP_SPECIAL_RESPONSE,
};
use ngx::http::{HTTPStatus, HttpModuleMainConf, NgxHttpCoreModule, Request};

use super::body::{Body, Unusable};
use super::request::is_gone;
use super::respond::Respond;
use super::task::{Place, Task, TaskRef};
use crate::event_loop::log;
use crate::ffi::find;

/// Handles the request with an async block: the whole of a content handler, or of a handler of any phase.
///
/// Return what this returns. The block is polled at once; if it has to wait, nginx goes on with other requests, and
/// the block is polled again in the same turn of the event loop in which its answer comes. It is dropped when the
/// request ends, however it ends; the calls that it waits for are cancelled then. A client that closes its connection
/// ends its request.
///
/// What the block evaluates to is done with the request, as [`Respond`] says. In a **content handler** it is the end
/// of the request. In a **phase handler** the phases are run again, the handler is called a second time, and this call
/// of `spawn` returns the result (its new block is dropped without being polled): a [`Status`] such as `NGX_OK` or
/// `NGX_DECLINED` lets the request go on as the phase defines it (a rewrite handler has to say `NGX_DECLINED`), an
/// HTTP status refuses it. A [`Response`](super::Response) with a body ends the request in any phase. One call of
/// `spawn` is one handler's: a second one in the same does nothing. An **internal redirect** while a block waits
/// (`error_page`, `post_action` when the client has gone) leaves the request to the handlers of the new location: the
/// block is dropped, without a word.
///
/// A worker that exits (reload, quit) waits until the block is done, whatever it waits for; `worker_shutdown_timeout`
/// bounds that.
///
/// The block owns what it uses: take what you need out of the request before. If it panics, the text is logged and the
/// answer is 500.
///
/// Not for the **log phase**, nor for the handler of a cleanup: the request has ended then, and nothing can wait for it.
/// That is refused, with a line in the error log, also for a subrequest that is logged (`log_subrequest on`). A handler
/// of an http cleanup that nginx calls before it logs cannot always be told; its block is dropped with the request. Use
/// [`spawn_detached`](super::spawn_detached) there.
///
/// Wakers may be used on any thread, but only wake on the worker's own, unless the feature `tokio` is on.
pub fn spawn<F>(request: &mut Request, future: F) -> Status
where
    F: Future + 'static,
    F::Output: Respond,
{
    let r = pointer(request);
    if has_ended(request) {
        return refuse(request);
    }
    let place = place(request);

    // SAFETY: there is a reference to the request.
    if let Some(task) = unsafe { Task::find(r, place) } {
        if let Some(status) = task.take_result() {
            task.forget_request();
            return status;
        }
        match place {
            Place::Content => log::error(request, TWICE),
            // SAFETY: as above.
            Place::Phase(_) => unsafe { wait(r) },
        }
        return Status::NGX_DONE;
    }

    let task = Task::spare();
    // SAFETY: there is a reference to the request.
    match task.take(future).and_then(|()| unsafe { task.start(r, place, resume) }) {
        // SAFETY: as above.
        Some(()) => unsafe { start(&task, r) },
        None => HTTPStatus::INTERNAL_SERVER_ERROR.into(),
    }
}

/// Like [`spawn`], for content handlers that need the body of the request: calls an async closure when the body has
/// been read.
///
/// A body of more than `limit` bytes is answered with 413, and a line in the error log; `client_max_body_size` limits it
/// too. [`spawn_with_body_or`] gives another answer.
///
/// ```no_run
/// use ngx::core::Status;
/// use ngx::http::{HTTPStatus, Request};
/// use ngx_memcache::http::{self, Body, Respond};
/// use ngx_memcache::{Client, Error};
///
/// fn store(request: &mut Request) -> Status {
///     let mc = match Client::from_request(request) {
///         Ok(mc) => mc,
///         Err(error) => return error.respond(request),
///     };
///     http::spawn_with_body(request, mc.max_value(), async move |body: &Body| {
///         mc.set("cow", body.bytes()).await?;
///         Ok::<_, Error>(HTTPStatus::NO_CONTENT)
///     })
/// }
/// ```
pub fn spawn_with_body<F, O>(request: &mut Request, limit: usize, handler: F) -> Status
where
    F: AsyncFnOnce(&Body) -> O + 'static,
    O: Respond,
{
    spawn_with_body_or(request, limit, async move |length| TooLarge { length, limit }, handler)
}

/// The body of a request has so many bytes, and may have that many.
struct TooLarge {
    length: usize,
    limit: usize,
}

impl Respond for TooLarge {
    fn respond(self, request: &mut Request) -> Status {
        let TooLarge { length, limit } = self;
        log::error(
            request,
            format_args!("client intended to send too large body: {length} bytes, the limit is {limit}"),
        );
        HTTPStatus::REQUEST_ENTITY_TOO_LARGE.into()
    }
}

/// Like [`spawn_with_body`], but a body of more than `limit` bytes is answered with what another async closure evaluates
/// to, which is called with the number of bytes instead. A body whose length is known is not read before that.
///
/// Where the body is a value to be stored, that is what [`Client::check_value_len`](crate::Client::check_value_len) is for.
pub fn spawn_with_body_or<E, P, F, O>(request: &mut Request, limit: usize, too_large: E, handler: F) -> Status
where
    E: AsyncFnOnce(usize) -> P + 'static,
    P: Respond,
    F: AsyncFnOnce(&Body) -> O + 'static,
    O: Respond,
{
    if has_ended(request) {
        return refuse(request);
    }
    if place(request) != Place::Content {
        log::error(request, "only a content handler can read the body of a request");
        return HTTPStatus::INTERNAL_SERVER_ERROR.into();
    }
    let length = usize::try_from(request.as_ref().headers_in.content_length_n).unwrap_or_default();
    if length > limit {
        return spawn(request, async move { too_large(length).await });
    }

    let r = pointer(request);
    // SAFETY: there is a reference to the request.
    if unsafe { Task::find(r, Place::Content) }.is_some() {
        log::error(request, TWICE);
        return Status::NGX_DONE;
    }
    let handling = async move {
        // SAFETY: tasks are polled only while their request is alive, and nobody else uses it meanwhile.
        let body = match unsafe { Body::of_request(r, limit) } {
            Ok(body) => body,
            Err(Unusable::TooLarge(length)) => {
                let output = too_large(length).await;
                // SAFETY: as above.
                return output.respond(unsafe { Request::from_ngx_http_request(r) });
            }
            Err(Unusable::Failed(status)) => return status.into(),
        };
        let output = handler(&body).await;
        // SAFETY: as above.
        output.respond(unsafe { Request::from_ngx_http_request(r) })
    };
    let task = Task::spare();
    // SAFETY: there is a reference to the request.
    if task.take(handling).and_then(|()| unsafe { task.start(r, Place::Content, resume) }).is_none() {
        return HTTPStatus::INTERNAL_SERVER_ERROR.into();
    }

    bits::set_request_body_in_single_buf(request.as_mut(), true);
    // SAFETY: as above. From now on the request belongs to nginx and the task, until nginx has the body or fails.
    let status = unsafe { ngx_http_read_client_request_body(r, Some(body_is_read)) };
    if status >= SPECIAL_RESPONSE {
        task.forget_request();
        return Status(status);
    }
    Status::NGX_DONE
}

/// Polls a task for the first time, in its handler: what the handler is to return.
///
/// # Safety
///
/// `r` is alive and the task's.
unsafe fn start(task: &TaskRef, r: *mut ngx_http_request_t) -> Status {
    // SAFETY: the request is alive; the task says it if that changes.
    let Some(status) = task.run() else {
        if task.request().is_none() {
            return Status::NGX_DONE;
        }
        // SAFETY: as above.
        unsafe {
            wait(r);
            if let Err(status) = watch_client(r) {
                task.forget_request();
                finalize(r, status);
            }
        }
        return Status::NGX_DONE;
    };
    let answered = task.has_answered();
    task.forget_request();

    // SAFETY: as above.
    unsafe {
        if is_content_phase(&*r) || !answered {
            return status;
        }
        // A phase handler's NGX_OK would let the request go on; but its answer is out.
        finalize(r, status);
    }
    Status::NGX_DONE
}

/// Has nginx keep the request, and leave it alone, until it is finalized or its phases are run again. The handler is to
/// return `NGX_DONE`.
///
/// # Safety
///
/// `r` is alive.
unsafe fn wait(r: *mut ngx_http_request_t) {
    // SAFETY: guaranteed by the caller; a request has a main one.
    unsafe {
        // A write event of the client would run the phases.
        (*r).write_event_handler = Some(ngx_http_request_empty_handler);
        // The content phase gives up a reference for NGX_DONE; the others do not.
        if is_content_phase(&*r) {
            let main = &mut *(*r).main;
            bits::set_count(main, bits::count(main).saturating_add(1));
        }
    }
}

/// A task was woken.
unsafe extern "C" fn resume(event: *mut ngx_event_t) {
    // SAFETY: nginx calls the handler of the task's event.
    let task = unsafe { Task::of_event(event) };
    if task.forget_if_redirected() {
        return;
    }
    let Some(r) = task.request() else { return };

    // SAFETY: the request is alive until it is finalized. Its connection is a slot that nginx does not give back to the
    // system, and marks as destroyed.
    unsafe {
        let connection = (*r).connection;
        log::attach(r);
        if let Some(status) = task.run() {
            // nginx may be reading a body that nobody wants: the response has started that.
            if !bits::discard_body(&*r) {
                (*r).read_event_handler = Some(ngx_http_block_reading);
            }
            if task.place() == Place::Content || task.has_answered() {
                task.forget_request();
                finalize(r, status);
            } else {
                task.set_result(status);
                (*r).write_event_handler = Some(ngx_http_core_run_phases);
                ngx_http_core_run_phases(r);
            }
        }
        ngx_http_run_posted_requests(connection);
    }
}

/// nginx has read the body: at once, inside of `spawn_with_body()`, or in an event of the client's connection.
///
/// nginx has counted its own reference to the request, which is given up by finalizing it.
unsafe extern "C" fn body_is_read(r: *mut ngx_http_request_t) {
    // SAFETY: nginx calls this for a living request.
    let Some(task) = (unsafe { Task::find(r, Place::Content) }) else { return };

    let status = task.run();
    if task.request().is_none() {
        return;
    }
    // SAFETY: the request has not ended.
    unsafe {
        if let Some(status) = status.or_else(|| watch_client(r).err()) {
            task.forget_request();
            finalize(r, status);
        }
    }
}

/// Has nginx notice when the client closes its connection, which ends the request.
///
/// # Safety
///
/// `r` is alive.
unsafe fn watch_client(r: *mut ngx_http_request_t) -> Result<(), Status> {
    // SAFETY: guaranteed by the caller; a request has a connection with two events.
    unsafe {
        // nginx reads the rest of the request itself, or nobody is there any more.
        if bits::discard_body(&*r) || bits::post_action(&*r) {
            return Ok(());
        }
        let read = (*(*r).connection).read;
        if (*read).ready() != 0 {
            ngx_post_event(read, &raw mut ngx_posted_events);
        } else if ngx_handle_read_event(read, 0) != Status::NGX_OK.0 {
            return Err(HTTPStatus::INTERNAL_SERVER_ERROR.into());
        }
        (*r).read_event_handler = Some(ngx_http_test_reading);
    }
    Ok(())
}

/// # Safety
///
/// `r` is alive. It may be gone afterwards.
unsafe fn finalize(r: *mut ngx_http_request_t, status: Status) {
    // SAFETY: guaranteed by the caller.
    unsafe { ngx_http_finalize_request(r, status.0) };
}

/// Whether the request is being freed: its phases are over. It is the module that knows; without it there is nothing to
/// wait for.
fn has_ended(request: &Request) -> bool {
    if is_gone(request) {
        return true;
    }
    let r: *const ngx_http_request_t = request.into();
    // SAFETY: there is a reference to the request.
    find::table().is_ok_and(|table| unsafe { !table.takes_calls(r.cast_mut()) })
}

const TWICE: &str = "spawn was called twice for one request: the first call counts";

fn refuse(request: &Request) -> Status {
    log::error(request, "a handler of the log phase, or of a cleanup, cannot wait: use spawn_detached");
    Status::NGX_ERROR
}

fn place(request: &Request) -> Place {
    let r = request.as_ref();
    if r.content_handler.is_some() && is_content_phase(r) {
        Place::Content
    } else {
        Place::Phase(r.phase_handler)
    }
}

/// Whether the phase engine is in the content phase, with a content handler of the location or one of its own.
fn is_content_phase(r: &ngx_http_request_t) -> bool {
    let Some(core) = NgxHttpCoreModule::main_conf(r) else { return false };
    let index = usize::try_from(r.phase_handler).unwrap_or_default();

    // SAFETY: phase_handler is the index of the handler that the engine is calling.
    let checker = unsafe { (*core.phase_engine.handlers.add(index)).checker };
    checker.is_some_and(|checker| ptr::fn_addr_eq(checker, CONTENT_PHASE))
}

const CONTENT_PHASE: unsafe extern "C" fn(*mut ngx_http_request_t, *mut ngx_http_phase_handler_t) -> ngx_int_t =
    ngx_http_core_content_phase;

const SPECIAL_RESPONSE: ngx_int_t = NGX_HTTP_SPECIAL_RESPONSE as ngx_int_t;

fn pointer(request: &mut Request) -> *mut ngx_http_request_t {
    request.into()
}
