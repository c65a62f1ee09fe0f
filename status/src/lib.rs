//! What `memcache_status` shows, made of plain data.
//!
//! The module collects a [`Snapshot`] and sends what is made of it here: a page for people, JSON and Prometheus metrics
//! for programs. Nothing here knows nginx, a socket or a clock, so all of it is tested without them.

#![forbid(unsafe_code)]

pub mod snapshot;

pub use snapshot::Snapshot;
