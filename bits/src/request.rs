//! The bit-fields of a request.
//!
//! ```no_run
//! use memcache_bits::request;
//!
//! fn wants_a_body(r: &nginx_sys::ngx_http_request_t) -> bool {
//!     !request::header_only(r) && !request::internal(r)
//! }
//! ```

use nginx_sys::ngx_http_request_t;

include!(concat!(env!("OUT_DIR"), "/request.rs"));

#[cfg(test)]
type Set = fn(&mut ngx_http_request_t);
#[cfg(test)]
type Get = fn(&ngx_http_request_t) -> u32;

#[cfg(test)]
mod tests;
