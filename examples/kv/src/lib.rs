//! A small REST store on memcached: an nginx module that knows nothing of memcached but the crate `ngx_memcache`.
//!
//! ```nginx
//! location /kv/ {
//!     memcache_kv on;
//! }
//! ```
//!
//! [`request`] says what a request means, `handler` does it; [`tag`] and `condition` are about what a client has seen,
//! and `change` about what a read finds.
//! Start your own module from here.

#[cfg(not(test))]
mod change;
#[cfg(not(test))]
mod condition;
#[cfg(not(test))]
mod handler;
#[cfg(not(test))]
mod lease;
mod request;
mod tag;

/// A request that there is no memory for is an error, not the end of the worker.
#[global_allocator]
static MEMORY: ngx_memcache::Reserve = ngx_memcache::Reserve::new();

// A test program has no nginx around it, and could not be linked with this.
#[cfg(not(test))]
ngx_memcache::content_handler! {
    module: ngx_http_memcache_kv_module,
    directive: "memcache_kv",
    handler: handler::handle,
}
