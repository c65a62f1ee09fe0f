//! The formats of `memcache_status`.
//!
//! The module collects a [`Snapshot`]. This crate renders it as a page for people, and as JSON and Prometheus metrics for
//! programs. It knows no nginx, no socket and no clock, so it is tested without them.
//!
//! | module | its job |
//! |---|---|
//! | [`snapshot`] | all data of the status |
//! | [`query`] | the arguments of a request |
//! | [`html`], [`json`], [`prometheus`] | the formats |
//! | [`names`] | names of clients |
//! | [`pieces`], [`rendering`] | text in pieces, which is written in small steps |
//! | `diagnosis` | the diagnosis in words |
//! | [`switches`] | the answer of `memcache_control` |
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
pub mod switches;

#[cfg(test)]
#[path = "../examples/page/samples.rs"]
mod samples;

pub use query::{Format, Query, UnknownFormat};
pub use snapshot::Snapshot;
