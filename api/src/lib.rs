//! The memcached client that all modules of an nginx worker share, for modules written in Rust.
//!
//! nginx loads `ngx_http_memcache_module`, which has the connections; a *sibling*, another module, asks it for the
//! client of a request and uses it. This crate is what a sibling depends on. It has no connections, no threads and no
//! state: only futures over the function table of the loaded module, which is found at run time, so that siblings and
//! module are compiled apart and loaded in any order.
//!
//! A whole sibling, which counts the visits of each page:
//!
//! ```no_run
//! use ngx::core::Status;
//! use ngx::http::Request;
//! use ngx_memcache::http::{self, Response};
//! use ngx_memcache::{Client, Error, Seconds};
//!
//! ngx_memcache::content_handler! {
//!     module: ngx_http_visits_module,
//!     directive: "visits",
//!     handler: visits,
//! }
//!
//! fn visits(request: &mut Request) -> Status {
//!     let mc = Client::from_request(request);
//!     let key = format!("visits:{}", request.path());
//!
//!     http::spawn(request, async move {
//!         let visits = mc?.incr(key, 1).initial(1).ttl(3600.secs()).await?;
//!         Ok::<_, Error>(visits.map(|n| Response::ok().content_type("text/plain").body(format!("{n} visits\n"))))
//!     })
//! }
//! # fn main() {}
//! ```
//!
//! Its manifest has `crate-type = ["cdylib"]`, and `ngx` and `ngx-memcache` as dependencies. With `visits on;` in a
//! location, a miss, a down server or a full queue need no code: they become 404, 503 and a line in the error log.
//!
//! - [`Client`] has the operations. They do nothing before they are awaited, and are cancelled when they are dropped.
//! - [`http`] turns async blocks into handlers.
//! - [`Error`] says whose fault it is, whether the server may have done it all the same, and whether to try again.
//! - [`Reserve`] as the global allocator makes that there is no memory an error, and not the end of the worker: see
//!   `examples/kv`. Values are handed out without copying, and [`Item::decode`] fails where there is no memory for a copy;
//!   what your own code makes large it should ask for by `try_reserve`.
//! - [`sys`] is the C interface.
//!
//! Everything here belongs to the event loop of a worker: none of it is `Send`.

pub mod http;
pub mod operation;
pub mod sys;

mod call;
mod cas;
mod client;
mod error;
mod event_loop;
mod fetch;
mod find;
mod item;
mod lease;
mod multi;
#[cfg(feature = "tokio")]
mod remote;
mod server;
mod table;
mod ttl;
mod value;

pub use cas::Cas;
pub use client::{Block, Client};
pub use error::{Error, Fault};
pub use fetch::{Fetched, Freshness, Source};
pub use item::Item;
pub use lease::{Lease, Metadata, Won};
pub use memcache;
pub use memcache_reserve::Reserve;
pub use multi::GetMulti;
pub use operation::Operation;
#[cfg(feature = "tokio")]
pub use remote::{Remote, REMOTE_QUEUE};
pub use server::{Pool, Server, Servers, State};
pub use ttl::{Seconds, Ttl};
pub use value::{IntoValue, Raw};

/// What the macros of this crate use.
#[doc(hidden)]
pub mod __private {
    pub use ngx;
    pub use ngx::ffi::{
        ngx_command_t, ngx_conf_t, ngx_http_module_t, ngx_http_request_t, ngx_int_t, ngx_module_t, ngx_uint_t,
        NGX_CONF_FLAG, NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MODULE,
    };
}
