//! Lines in the error log.

use std::fmt::Display;

use ngx::ffi::{ngx_http_log_ctx_t, ngx_http_request_t, NGX_LOG_ERR};
use ngx::http::Request;
use ngx::ngx_log_error;

/// One line at level "error".
pub(crate) fn error(request: &Request, text: impl Display) {
    ngx_log_error!(NGX_LOG_ERR, request.log(), "memcache: {text}");
}

/// One line at level "error", where there is no request.
pub(crate) fn cycle_error(text: impl Display) {
    // A test program has no nginx to log with.
    #[cfg(test)]
    eprintln!("memcache: {text}");
    #[cfg(not(test))]
    ngx_log_error!(NGX_LOG_ERR, ngx::log::ngx_cycle_log().as_ptr(), "memcache: {text}");
}

/// Lets what is logged on the connection name this request, as nginx's `ngx_http_set_log_request()`.
///
/// # Safety
///
/// `request` is alive.
pub(crate) unsafe fn attach(request: *mut ngx_http_request_t) {
    // SAFETY: the data of the log of a connection that has a request is the context of HTTP.
    unsafe {
        let context = (*(*(*request).connection).log).data.cast::<ngx_http_log_ctx_t>();
        (*context).current_request = request;
    }
}
