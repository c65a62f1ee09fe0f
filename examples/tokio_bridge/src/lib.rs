//! Work on a tokio runtime in the worker, with the worker's memcached client.
//!
//! ```nginx
//! location /digest/ {
//!     memcache_digest;
//! }
//! ```
//!
//! `GET /digest/TEXT?rounds=N` answers with a digest. Its computation takes too long for an event loop. A thread does it,
//! looks the digest up in memcached first, and stores it there. Also, each worker has a task that stores a sign of life in
//! memcached every second.
//!
//! - [`module`]: the directive, and the start and the end of the runtime.
//! - [`runtime`]: the runtime.
//! - [`work`]: the tasks. It does not depend on nginx.
//! - [`rounds`]: the long computation, and its limits.

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
