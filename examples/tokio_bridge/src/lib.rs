//! Work on a tokio runtime in the worker, with the worker's memcached client.
//!
//! ```nginx
//! location /digest/ {
//!     memcache_digest;
//! }
//! ```
//!
//! `GET /digest/TEXT?rounds=N` answers with a digest that takes its time: too much of it for an event loop. It is made on
//! a thread, which looks it up in memcached before and stores it there afterwards. Besides, every worker has a task that
//! says in memcached, every second, that the worker is alive.
//!
//! - [`module`]: the directive, and where the runtime starts and ends.
//! - [`runtime`]: the runtime.
//! - [`work`]: what is done there. No nginx in it.
//! - [`rounds`]: the part that takes its time, and what bounds it.

#[cfg(not(test))]
mod handler;
#[cfg(not(test))]
mod module;
mod rounds;
#[cfg(not(test))]
mod runtime;
#[cfg(not(test))]
mod work;

/// A request that there is no memory for is an error, not the end of the worker.
#[global_allocator]
static MEMORY: ngx_memcache::Reserve = ngx_memcache::Reserve::new();
