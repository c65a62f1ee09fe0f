//! A rate limit that all workers, and all hosts with the same memcached, share: a handler of the access phase.
//!
//! ```nginx
//! location /api/ {
//!     rate_limit $binary_remote_addr limit=100 window=1m;
//! }
//! ```
//!
//! - [`window`]: windows of time, keys, and the meaning of a count. It does not depend on nginx.
//! - `conf`: the directives.
//! - `handler`: counts requests, and applies the limit.

#[cfg(not(test))]
mod conf;
#[cfg(not(test))]
mod handler;
mod window;

/// A request that there is no memory for is an error, not the end of the worker.
#[global_allocator]
static MEMORY: ngx_memcache::Reserve = ngx_memcache::Reserve::new();
