//! A small REST store on memcached: an nginx module that uses the crate `ngx_memcache`.
//!
//! ```nginx
//! location /kv/ {
//!     memcache_kv on;
//! }
//! ```
//!
//! [`request`] parses a request, `handler` executes it. [`tag`] and `condition` compare items with tags of the client.
//! `change` changes items that a read finds. Start your own module from here.

#[cfg(not(test))]
mod change;
#[cfg(not(test))]
mod condition;
#[cfg(not(test))]
mod count;
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
