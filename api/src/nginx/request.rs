//! A request and what nginx does with it.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use memcache_bits::request as bits;
use ngx::core::Status;
use ngx::ffi::{
    ngx_connection_t, ngx_handle_read_event, ngx_http_block_reading, ngx_http_core_content_phase,
    ngx_http_core_run_phases, ngx_http_finalize_request, ngx_http_log_ctx_t, ngx_http_phase_handler_t,
    ngx_http_read_client_request_body, ngx_http_request_empty_handler, ngx_http_request_t,
    ngx_http_run_posted_requests, ngx_http_test_reading, ngx_int_t, ngx_post_event, ngx_posted_events,
};
use ngx::http::{HTTPStatus, HttpModuleMainConf, NgxHttpCoreModule, Request};

/// A request that is there for `'r`, with its main request and its connection.
///
/// It ends when it is finalized, or when its phases are run: whoever does that does not use it any more, or asks the task
/// whether it still has a request. References to nginx's structure last for one call of [`read`](Self::read), or for what is
/// done at once with that of [`get_mut`](Self::get_mut); nothing else has one meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestRef<'r>(NonNull<ngx_http_request_t>, PhantomData<&'r ngx_http_request_t>);

/// The connection of a request. It is a slot that nginx does not give back to the system, and marks as destroyed.
#[derive(Clone, Copy)]
pub(crate) struct ClientConnection(*mut ngx_connection_t);

/// What is called when the body of a request has been read.
pub(crate) trait OnBody {
    /// At once, inside of [`RequestRef::read_body`], or in an event of the client's connection.
    fn body_is_read(request: RequestRef<'_>);
}

impl<'r> RequestRef<'r> {
    /// The request that nginx calls a handler with.
    pub(crate) fn new(request: &'r mut Request) -> Self {
        RequestRef(NonNull::from(request).cast(), PhantomData)
    }

    /// The same for longer.
    ///
    /// # Safety
    ///
    /// It is not used when the request has ended.
    pub(crate) unsafe fn extend<'l>(self) -> RequestRef<'l> {
        RequestRef(self.0, PhantomData)
    }

    /// nginx's own.
    pub(crate) fn as_ptr(self) -> *mut ngx_http_request_t {
        self.0.as_ptr()
    }

    /// Reads something of it.
    pub(crate) fn read<R>(self, read: impl FnOnce(&ngx_http_request_t) -> R) -> R {
        // SAFETY: the request is there, and nobody writes to it meanwhile: see the type.
        read(unsafe { self.0.as_ref() })
    }

    /// For what changes it, or takes a request.
    pub(crate) fn get_mut(&mut self) -> &mut Request {
        // SAFETY: the request is there, and nobody else refers to it meanwhile: see the type.
        unsafe { Request::from_ngx_http_request(self.as_ptr()) }
    }

    /// The main request, which may be itself.
    pub(crate) fn main(self) -> Self {
        RequestRef(self.read(|r| NonNull::new(r.main)).unwrap_or(self.0), PhantomData)
    }

    /// Whether nginx is destroying the request's pool, or says otherwise that it is the last to use the request.
    pub(crate) fn is_gone(self) -> bool {
        self.main().read(|main| main.pool.is_null() || bits::count(main) == 0)
    }

    /// Whether the phase engine is in the content phase, with a content handler of the location or one of its own.
    pub(crate) fn is_in_content_phase(self) -> bool {
        self.read(|r| {
            let Some(core) = NgxHttpCoreModule::main_conf(r) else { return false };
            let index = usize::try_from(r.phase_handler).unwrap_or_default();
            // SAFETY: phase_handler is the index of the handler that the engine is calling.
            let checker = unsafe { (*core.phase_engine.handlers.add(index)).checker };
            checker.is_some_and(|checker| ptr::fn_addr_eq(checker, CONTENT_PHASE))
        })
    }

    /// Has nginx keep the request, and leave it alone, until it is finalized or its phases are run again. The handler is
    /// to return `NGX_DONE`.
    pub(crate) fn wait(mut self) {
        let in_content_phase = self.is_in_content_phase();
        self.get_mut().as_mut().write_event_handler = Some(ngx_http_request_empty_handler);
        // A write event of the client would run the phases. The content phase gives up a reference for NGX_DONE; the others
        // do not.
        if in_content_phase {
            let count = self.main().read(bits::count).saturating_add(1);
            bits::set_count(self.main().get_mut().as_mut(), count);
        }
    }

    /// Has nginx notice when the client closes its connection, which ends the request.
    pub(crate) fn watch_client(mut self) -> Result<(), Status> {
        // nginx reads the rest of the request itself, or nobody is there any more.
        if self.read(|r| bits::discard_body(r) || bits::post_action(r)) {
            return Ok(());
        }
        // SAFETY: a request has a connection with two events.
        unsafe {
            let read = (*(*self.as_ptr()).connection).read;
            if (*read).ready() != 0 {
                ngx_post_event(read, &raw mut ngx_posted_events);
            } else if ngx_handle_read_event(read, 0) != Status::NGX_OK.0 {
                return Err(HTTPStatus::INTERNAL_SERVER_ERROR.into());
            }
        }
        self.get_mut().as_mut().read_event_handler = Some(ngx_http_test_reading);
        Ok(())
    }

    /// The handler has ended: nginx is no longer to look for the client, unless it reads a body that nobody wants, which the
    /// response has started.
    pub(crate) fn stop_watching(mut self) {
        if !self.read(bits::discard_body) {
            self.get_mut().as_mut().read_event_handler = Some(ngx_http_block_reading);
        }
    }

    /// Has nginx read the body. What it returns is an error from 300 on; `H` is not called then.
    pub(crate) fn read_body<H: OnBody>(self) -> ngx_int_t {
        // SAFETY: the request is there. nginx counts a reference of its own to it until `H` is called.
        unsafe { ngx_http_read_client_request_body(self.as_ptr(), Some(body_is_read::<H>)) }
    }

    /// Ends the handler's part of the request. The request may be gone afterwards.
    pub(crate) fn finalize(self, status: Status) {
        // SAFETY: the request is there, and the caller does not use it any more.
        unsafe { ngx_http_finalize_request(self.as_ptr(), status.0) };
    }

    /// Runs its phases from where they are. The request may be gone afterwards.
    pub(crate) fn run_phases(mut self) {
        self.get_mut().as_mut().write_event_handler = Some(ngx_http_core_run_phases);
        // SAFETY: as above.
        unsafe { ngx_http_core_run_phases(self.as_ptr()) };
    }

    /// Its connection.
    pub(crate) fn connection(self) -> ClientConnection {
        ClientConnection(self.read(|r| r.connection))
    }

    /// Lets what is logged on the connection name this request, as nginx's `ngx_http_set_log_request()`.
    pub(crate) fn attach_log(self) {
        // SAFETY: the data of the log of a connection that has a request is the context of HTTP.
        unsafe {
            let log = (*(*self.as_ptr()).connection).log;
            (*(*log).data.cast::<ngx_http_log_ctx_t>()).current_request = self.as_ptr();
        }
    }
}

impl ClientConnection {
    /// Runs the requests that were posted to it: to be called in an event that has gone on with a request.
    pub(crate) fn run_posted_requests(self) {
        // SAFETY: see the type.
        unsafe { ngx_http_run_posted_requests(self.0) };
    }
}

unsafe extern "C" fn body_is_read<H: OnBody>(r: *mut ngx_http_request_t) {
    if let Some(r) = NonNull::new(r) {
        // nginx calls this with a request that is there.
        H::body_is_read(RequestRef(r, PhantomData));
    }
}

const CONTENT_PHASE: unsafe extern "C" fn(*mut ngx_http_request_t, *mut ngx_http_phase_handler_t) -> ngx_int_t =
    ngx_http_core_content_phase;
