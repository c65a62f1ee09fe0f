//! What `memcache_status` shows, made of plain data.
//!
//! The module collects a [`Snapshot`] and sends what is made of it here: a page for people, JSON and Prometheus metrics
//! for programs. Nothing here knows nginx, a socket or a clock, so all of it is tested without them.
//!
//! | module | its job |
//! |---|---|
//! | [`snapshot`] | everything that is shown, as plain data |
//! | [`query`] | what a request asks for |
//! | [`html`], [`json`], [`prometheus`] | what the data is made into |
//! | [`names`] | names of clients |
//! | [`pieces`], [`rendering`] | text in pieces, and how it is written a little at a time |
//! | `diagnosis` | what is wrong, in words |
//! | `show` | numbers, times and pictures for people |

#![forbid(unsafe_code)]

mod diagnosis;
pub mod html;
pub mod json;
pub mod names;
pub mod pieces;
pub mod prometheus;
pub mod query;
pub mod rendering;
mod show;
pub mod snapshot;

#[cfg(test)]
#[path = "../examples/page/samples.rs"]
mod samples;

pub use query::{Format, Query, UnknownFormat};
pub use snapshot::Snapshot;
