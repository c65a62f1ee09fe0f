//! Async blocks as handlers.

#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::task::{ready, Context, Poll};

use memcache_bits::request as bits;
use ngx::core::Status;
use ngx::ffi::{ngx_int_t, NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_HTTP_SPECIAL_RESPONSE};
use ngx::http::{HTTPStatus, Request};
use pin_project_lite::pin_project;

use super::body::{Body, Unusable};
use super::request_task::{handler_of, Handler, RequestTask};
use super::respond::Respond;
use crate::event_loop::turn;
use crate::ffi::find;
use crate::nginx::log;
use crate::nginx::request::{OnBody, RequestRef};

/// Handles the request with an async block: the whole of a content handler, or of a handler of any phase.
///
/// Return what this returns. The block is polled at once. If it has to wait, nginx goes on with other requests, and the block is
/// polled again in the turn of the event loop in which its answer comes. The block is dropped when the request ends, for whatever
/// reason, and the calls that it waits for are cancelled. A client that closes its connection ends its request.
///
/// [`Respond`] says what is done with the value of the block. In a **content handler** that ends the request. In a **phase
/// handler** nginx runs the phases again and calls the handler a second time. This call of `spawn` drops its new block unpolled,
/// and returns the result. A `Status` such as `NGX_OK` or `NGX_DECLINED` lets the request go on as the phase defines it (a
/// rewrite handler has to return `NGX_DECLINED`). An HTTP status refuses the request. A [`Response`](super::Response) with a body
/// ends the request in any phase. A handler may call `spawn` once: a second call in it does nothing. An **internal redirect**
/// while a block waits (`error_page`, `post_action` when the client has gone) leaves the request to the handlers of the new
/// location, and the block is dropped. That is not logged.
///
/// A worker that exits (reload, quit) waits until the block is done, whatever it waits for; `worker_shutdown_timeout`
/// bounds that.
///
/// The block owns what it uses: take what you need out of the request before. If it panics, the text is logged and the
/// answer is 500.
///
/// The **log phase** and handlers of cleanups cannot use this: the request has ended, and nothing can wait for it. Such a call is
/// refused with a line in the error log, also for a subrequest that is logged (`log_subrequest on`). In a handler of an http
/// cleanup that runs before the log phase, the call cannot always be refused; its block is dropped with the request. Use
/// [`spawn_detached`](super::spawn_detached) there.
///
/// Any thread may use the wakers. Without the feature `tokio`, they wake on the worker's own thread only.
pub fn spawn<F>(request: &mut Request, future: F) -> Status
where
    F: Future + 'static,
    F::Output: Respond,
{
    let r = RequestRef::new(request);
    match begin(r) {
        Ok(task) => match task.put(Responding { future }) {
            Some(()) => start(&task, r),
            None => without_memory(&task),
        },
        Err(status) => status,
    }
}

/// A task for the handler that is being called, without its future. `Err`: what the handler is to return.
fn begin(r: RequestRef<'_>) -> Result<RequestTask, Status> {
    if has_ended(r) {
        return Err(refuse(r));
    }
    begin_as(r, handler_of(r))
}

fn begin_as(r: RequestRef<'_>, handler: Handler) -> Result<RequestTask, Status> {
    if let Some(task) = RequestTask::find(r, handler) {
        if let Some(status) = task.take_result() {
            task.forget_request();
            return Err(status);
        }
        match handler {
            Handler::Content => error(r, TWICE),
            Handler::Phase(_) => r.wait(),
        }
        return Err(Status::NGX_DONE);
    }
    RequestTask::begin(r, handler).ok_or(FAILED)
}

fn without_memory(task: &RequestTask) -> Status {
    task.forget_request();
    FAILED
}

const FAILED: Status = Status(NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t);

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
    let r = RequestRef::new(request);
    let task = match begin_with_body(r) {
        Ok(task) => task,
        Err(status) => return status,
    };
    let length = usize::try_from(r.read(|r| r.headers_in.content_length_n)).unwrap_or_default();
    if length > limit {
        return match task.put(async move { respond(too_large(length).await) }) {
            Some(()) => start(&task, r),
            None => without_memory(&task),
        };
    }
    let handling = async move {
        match turn::request().map(|request| Body::of_task(request, limit)) {
            Some(Ok(body)) => respond(handler(&body).await),
            Some(Err(Unusable::TooLarge(length))) => respond(too_large(length).await),
            Some(Err(Unusable::Failed)) | None => FAILED,
        }
    };
    match task.put(handling) {
        Some(()) => read_body(&task, r),
        None => without_memory(&task),
    }
}

/// As [`begin`], for a content handler.
fn begin_with_body(r: RequestRef<'_>) -> Result<RequestTask, Status> {
    if has_ended(r) {
        return Err(refuse(r));
    }
    if handler_of(r) != Handler::Content {
        error(r, "only a content handler can read the body of a request");
        return Err(HTTPStatus::INTERNAL_SERVER_ERROR.into());
    }
    begin_as(r, Handler::Content)
}

/// Has nginx read the body, and the task be polled then: what the handler is to return.
fn read_body(task: &RequestTask, mut r: RequestRef<'_>) -> Status {
    bits::set_request_body_in_single_buf(r.get_mut().as_mut(), true);
    // From now on the request belongs to nginx and the task, until nginx has the body or fails.
    let status = r.read_body::<ThenPoll>();
    if status >= SPECIAL_RESPONSE {
        task.forget_request();
        return Status(status);
    }
    Status::NGX_DONE
}

pin_project! {
    /// A future whose output is what is done with its request.
    struct Responding<F> {
        #[pin]
        future: F,
    }
}

impl<F> Future for Responding<F>
where
    F: Future,
    F::Output: Respond,
{
    type Output = Status;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Status> {
        let output = ready!(self.project().future.poll(cx));
        let Some(mut request) = turn::request() else { return Poll::Ready(Status::NGX_ERROR) };
        Poll::Ready(output.respond(request.get_mut()))
    }
}

/// Does it with the request whose task is being polled. Outputs are large: they are not moved for that.
#[inline(always)]
fn respond(output: impl Respond) -> Status {
    match turn::request() {
        Some(mut request) => output.respond(request.get_mut()),
        None => Status::NGX_ERROR,
    }
}

/// Polls a task for the first time, in its handler: what the handler is to return.
fn start(task: &RequestTask, r: RequestRef<'_>) -> Status {
    let Some(status) = task.run() else {
        // The future may have ended it.
        if task.request().is_some() {
            r.wait();
            if let Err(status) = r.watch_client() {
                task.forget_request();
                r.finalize(status);
            }
        }
        return Status::NGX_DONE;
    };
    let answered = task.has_answered();
    task.forget_request();
    if r.is_in_content_phase() || !answered {
        return status;
    }
    // A phase handler's NGX_OK would let the request go on; but its answer is out.
    r.finalize(status);
    Status::NGX_DONE
}

/// What nginx does with a body: the task of the request is polled. nginx has counted its own reference to the request,
/// which is given up by finalizing it.
struct ThenPoll;

impl OnBody for ThenPoll {
    fn body_is_read(r: RequestRef<'_>) {
        let Some(task) = RequestTask::find(r, Handler::Content) else { return };

        let status = task.run();
        if task.request().is_none() {
            return;
        }
        if let Some(status) = status.or_else(|| r.watch_client().err()) {
            task.forget_request();
            r.finalize(status);
        }
    }
}

/// Whether the request is being freed: its phases are over. It is the module that knows; without it there is nothing to
/// wait for.
fn has_ended(r: RequestRef<'_>) -> bool {
    r.is_gone() || find::table().is_ok_and(|table| !table.takes_calls(r))
}

const TWICE: &str = "spawn was called twice for one request: the first call counts";

fn refuse(r: RequestRef<'_>) -> Status {
    error(r, "a handler of the log phase, or of a cleanup, cannot wait: use spawn_detached");
    Status::NGX_ERROR
}

fn error(mut r: RequestRef<'_>, text: &str) {
    log::error(r.get_mut(), text);
}

const SPECIAL_RESPONSE: ngx_int_t = NGX_HTTP_SPECIAL_RESPONSE as ngx_int_t;
