//! Counts a request, and applies the limit.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr;
use std::time::{SystemTime, UNIX_EPOCH};

use ngx::core::Status;
use ngx::ffi::{ngx_pool_cleanup_add, NGX_LOG_ERR, NGX_LOG_WARN};
use ngx::http::{HTTPStatus, Request};
use ngx::ngx_log_error;
use ngx_memcache::http::{self, Respond};
use ngx_memcache::{Client, Error, Fault};

use crate::conf::{ngx_http_memcache_rate_limit_module, Settings};
use crate::window::Verdict;

/// The handler of the access phase.
///
/// It returns `NGX_DECLINED` to let a request pass: other handlers decide about the access.
pub fn access(request: &mut Request) -> Status {
    let Some(settings) = Settings::of(request) else { return Status::NGX_DECLINED };
    if Mark::of(request).is_some_and(|mark| mark.is_done.get()) {
        // The request is here again after an internal redirect; it counts once.
        return Status::NGX_DECLINED;
    }
    let Some(key) = request.get_complex_value(settings.key) else {
        return HTTPStatus::INTERNAL_SERVER_ERROR.into();
    };
    if key.as_bytes().is_empty() {
        return Status::NGX_DECLINED;
    }
    let window = settings.limit.window_at(now());
    let name = window.name(key.as_bytes());
    let mc = settings.cluster.map_or_else(|| Client::from_request(request), Client::named);
    let mc = mc.and_then(|mc| mc.of_module(&raw const ngx_http_memcache_rate_limit_module));

    let status = http::spawn(request, async move {
        let count = async { mc?.incr(name, 1).initial(1).ttl(window.ttl()).await };
        Answer {
            verdict: count.await.map(|count| window.verdict(count.unwrap_or(0))),
            refuses_when_down: settings.refuses_when_down,
        }
    });
    // Not before the answer was taken: this is called a second time for it.
    if status != Status::NGX_DONE {
        if let Some(mark) = Mark::of(request) {
            mark.is_done.set(true);
        }
    }
    status
}

/// memcached's answer.
struct Answer {
    verdict: Result<Verdict, Error>,
    refuses_when_down: bool,
}

impl Respond for Answer {
    fn respond(self, request: &mut Request) -> Status {
        if Mark::set(request).is_none() {
            return HTTPStatus::INTERNAL_SERVER_ERROR.into();
        }
        match self.verdict {
            Ok(verdict) => match say(request, &verdict) {
                Err(status) => status,
                Ok(()) if verdict.is_refused => {
                    ngx_log_error!(NGX_LOG_WARN, request.log(), "rate_limit: more than {} requests", verdict.limit);
                    HTTPStatus::TOO_MANY_REQUESTS.into()
                }
                Ok(()) => Status::NGX_DECLINED,
            },
            Err(error) => {
                // `rate_limit_down` is for a memcached that does not answer. A request whose key or whose item cannot be
                // counted never passes.
                let status = match error.fault() {
                    Fault::Caller => Some(HTTPStatus::INTERNAL_SERVER_ERROR),
                    _ if self.refuses_when_down => Some(HTTPStatus::SERVICE_UNAVAILABLE),
                    _ => None,
                };
                // The module logs errors of servers, once per server and second.
                if !error.is_logged() {
                    let done = if status.is_some() { "refused" } else { "not counted" };
                    ngx_log_error!(NGX_LOG_ERR, request.log(), "rate_limit: {done}: {error}");
                }
                status.map_or(Status::NGX_DECLINED, Status::from)
            }
        }
    }
}

/// The headers of draft-ietf-httpapi-ratelimit-headers-07, and Retry-After.
fn say(request: &mut Request, verdict: &Verdict) -> Result<(), Status> {
    http::add_header(request, "RateLimit-Limit", verdict.limit)?;
    http::add_header(request, "RateLimit-Remaining", verdict.remaining)?;
    http::add_header(request, "RateLimit-Reset", verdict.reset)?;
    if verdict.is_refused {
        http::add_header(request, "Retry-After", verdict.reset)?;
    }
    Ok(())
}

/// A request that was counted. It is kept with the pool's cleanups, as an internal redirect, which has the phases run
/// again, clears the contexts of modules.
struct Mark {
    /// Its answer was taken.
    is_done: Cell<bool>,
}

impl Mark {
    fn of(request: &Request) -> Option<&Mark> {
        // SAFETY: the request, and with it its pool and the list of its cleanups, is there.
        unsafe {
            let mut record = (*request.as_ref().pool).cleanup;
            while let Some(this) = record.as_ref() {
                if this.handler.is_some_and(|handler| ptr::fn_addr_eq(handler, nothing as Cleanup)) {
                    return this.data.cast::<Mark>().as_ref();
                }
                record = this.next;
            }
        }
        None
    }

    /// `None`: no memory.
    fn set(request: &Request) -> Option<()> {
        // SAFETY: as above; the record comes with memory for a mark.
        unsafe {
            let record = ngx_pool_cleanup_add(request.as_ref().pool, size_of::<Mark>()).as_mut()?;
            record.data.cast::<Mark>().write(Mark { is_done: Cell::new(false) });
            record.handler = Some(nothing);
        }
        Some(())
    }
}

type Cleanup = unsafe extern "C" fn(*mut c_void);

/// There is nothing to clean up.
unsafe extern "C" fn nothing(_: *mut c_void) {}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
