//! Async blocks as handlers of nginx.
//!
//! [`spawn`] turns an async block into a content handler or a phase handler. [`spawn_with_body`] reads the body of the request
//! first. [`spawn_detached`] is for work that no request waits for. The value of the block says what is done with the request:
//! see [`Respond`].
//!
//! ```no_run
//! use ngx::core::Status;
//! use ngx::http::Request;
//! use ngx_memcache::http::{self, Response};
//! use ngx_memcache::{Client, Error};
//!
//! fn handler(request: &mut Request) -> Status {
//!     let mc = Client::from_request(request);
//!     let key = request.path().as_bytes().to_vec();
//!
//!     http::spawn(request, async move {
//!         let page = mc?.get(key).await?;
//!         Ok::<_, Error>(page.map(|item| Response::ok().header("X-From", "memcached").body(item)))
//!     })
//! }
//! ```
//!
//! Bit-fields of the request, such as nginx's `r->header_only`, are in [`bits`]: with nginx 1.29.3 and later those of
//! `ngx` and `nginx-sys` 0.5 are wrong.

mod all;
mod body;
mod detached;
pub mod directive;
mod door;
mod exit;
pub(crate) mod fetch;
mod headers;
mod request_task;
mod respond;
mod response;
mod slot;
mod spawn;
mod task;
mod timer;

pub use all::all;
pub use body::Body;
pub use detached::{spawn_detached, MAX_DETACHED};
pub use exit::exiting;
pub use headers::{HeaderText, HeaderValue};
#[doc(inline)]
pub use memcache_bits::request as bits;
pub use respond::Respond;
pub use response::{add_header, Content, Response};
pub use spawn::{spawn, spawn_with_body, spawn_with_body_or};
pub use timer::{sleep, timeout, Sleep};
