//! Lines in the error log.

#![allow(unsafe_code)]

use std::fmt::Display;

use ngx::ffi::{NGX_LOG_ERR, NGX_LOG_INFO};
use ngx::http::Request;
use ngx::ngx_log_error;

/// One line at level "error".
pub(crate) fn error(request: &Request, text: impl Display) {
    ngx_log_error!(NGX_LOG_ERR, request.log(), "memcache: {text}");
}

/// One line at level "info".
pub(crate) fn info(request: &Request, text: impl Display) {
    ngx_log_error!(NGX_LOG_INFO, request.log(), "memcache: {text}");
}

/// One line at level "error", where there is no request.
pub(crate) fn cycle_error(text: impl Display) {
    // A test program has no nginx to log with.
    #[cfg(test)]
    eprintln!("memcache: {text}");
    #[cfg(not(test))]
    ngx_log_error!(NGX_LOG_ERR, super::cycle::log(), "memcache: {text}");
}
