//! The memcached client that all modules of an nginx worker share, for modules written in Rust.
//!
//! nginx loads `ngx_http_memcache_module`, which has the connections. A *sibling*, another module, asks it for the client of
//! a request. This crate is what a sibling depends on. It has no connections, no threads and no state, but futures over the
//! function table of the loaded module. It finds that at run time. So siblings and module are compiled apart and loaded in any
//! order.
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
//! Its manifest has `crate-type = ["cdylib"]`, and `ngx` and `ngx-memcache` as dependencies. The directive is `visits on;` in a
//! location. A miss, a down server and a full queue need no code: they become 404, 503 and a line in the error log.
//!
//! - [`Client`] has the operations. They do nothing before they are awaited, and are cancelled when they are dropped.
//!   [`Client::fetch`] is for items that cost something to make: one of all callers makes the item.
//! - [`http`] turns async blocks into handlers of any phase, and runs what no request waits for.
//! - [`Error`] says whose fault it is, whether the server may have carried the operation out, and whether to try again.
//! - With [`Reserve`] as the global allocator, a lack of memory is an error, and not the end of the worker: see `examples/kv`.
//!   Values are handed out without copying, and [`Item::decode`] fails where there is no memory for a copy. Your own code should
//!   ask for large memory by `try_reserve`.
//! - [`sys`] is the C interface.
//!
//! # Lifetimes
//!
//! **A request.** [`http::spawn`] keeps the request while its block runs. It drops the block when the request ends, for whatever
//! reason: the client of nginx goes away, a timeout passes, something else fails, or the main request of a subrequest ends. The
//! operations that the block awaits are cancelled then; memcached may have carried them out or not. What has to outlive the
//! request goes into [`http::spawn_detached`], and so does everything that a handler of the log phase wants.
//!
//! **A worker.** A [`Client`] is two pointers, and lives as long as the worker. Ask for it in each request. Where there is no
//! request, ask with a [`Block`] of the configuration. Do not keep it in statics, which may outlive it. There are no clients in
//! the master, nor in the cache manager and loader: [`Error::NotAvailable`].
//!
//! **A reload.** The new configuration has clients of its own, in new workers. The old workers answer what is under way,
//! detached futures that wait for operations or for [`http::sleep`] included, and exit; each operation's deadline bounds
//! that. A sibling that is replaced on disk needs a restart of nginx, not a reload.
//!
//! **An item.** [`Item`] holds its bytes in the buffer that they were received in. You may keep it as long as you like. A large
//! one holds that much memory.
//!
//! # Threads
//!
//! Everything belongs to the event loop of a worker, which has one thread. Almost nothing here is `Send`:
//!
//! ```compile_fail
//! fn elsewhere(mc: ngx_memcache::Client) {
//!     std::thread::spawn(move || mc.servers());
//! }
//! ```
//!
//! [`Item`] is `Send`: any thread may read and drop it. A handler must not block, as the whole worker would wait. Long work goes
//! to a thread, for example of a tokio runtime. With the feature `tokio`, code there uses the same client through a `Remote`
//! (`Client::remote`), and may wake a block of [`http::spawn`] that waits for it.
//! `examples/tokio_bridge` shows a runtime that starts and ends with the worker.
//!
//! # Order
//!
//! What one worker submits for one key to one server is carried out in that order, whichever modules and futures submit it. An
//! operation goes behind each write of its key that has no answer yet. So a `get` sees every `set` that was
//! submitted before it (a future submits when it is first polled), and of two writes the later one stays, without waiting
//! for an answer between them. A `get` that is under way may see a write that was submitted after it. An operation that
//! ended without an answer, [maybe applied](Error::maybe_applied) or dropped, may be carried out later, behind others.
//! There is no order between keys, between `flush_all` and others, between workers, or between a server and its stand-in.
//!
//! # Errors and retries
//!
//! A miss is not an error. [`Error::fault`] says whose fault an error is, and [`Error::http_status`] what to tell the client of
//! nginx. The module has tried again where that is safe: it sends again, once and within the deadline, what was never sent, and
//! reads whose connection was lost. The deadline is `memcache_timeout`, or the [`timeout`](Operation::timeout) of the operation.
//!
//! - [`Error::should_retry`]: it is safe, and makes sense, to try once more at once. That is rarely worth the code.
//! - [`Error::maybe_applied`]: the write may have been carried out. `set` and `delete` can be repeated; `incr`, `append` and
//!   [`cas`](Operation::cas) cannot.
//! - [`Error::Busy`], [`Error::ServerDown`], [`Error::Timeout`]: trying again at once adds to the load. Do without, as
//!   [`Client::fetch`] does: a cache that fails should cost no more than one that is empty.
//!
//! # Panics
//!
//! A panic that reaches nginx ends the worker with all its connections. This crate catches the panics of what it calls: handlers
//! of [`content_handler!`] and [`http::directive::handle`], async blocks, their drops, and wakers. It logs them, and answers with
//! 500. A drop that panics while another panic unwinds still ends the process.

// `ffi`, `nginx` and a few files of `http` allow it, and all others forbid it: see build/check-unsafe.sh.
#![deny(unsafe_code)]

pub mod http;
pub mod operation;
pub mod sys;

mod client;
mod error;
mod event_loop;
mod ffi;
mod nginx;
#[cfg(feature = "tokio")]
mod remote;

#[doc(hidden)]
pub mod __private;

pub use client::server::{Pool, Server, Servers, State};
pub use client::Client;
pub use error::{Error, Fault};
pub use ffi::handle::Block;
pub use http::fetch::{Fetched, Freshness, Source};
pub use memcache_reserve::Reserve;
pub use operation::cas::Cas;
pub use operation::item::Item;
pub use operation::lease::{Lease, Metadata, Won};
pub use operation::multi::GetMulti;
pub use operation::origin::Origin;
pub use operation::ttl::{Seconds, Ttl};
pub use operation::value::{FromValue, IntoValue};
pub use operation::with_origin::WithOrigin;
pub use operation::Operation;
#[cfg(feature = "tokio")]
pub use remote::{Remote, REMOTE_QUEUE};
