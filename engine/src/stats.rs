//! The counters of a server.

mod counters;
mod fault;
mod gauges;
mod numbers;
mod recent;
mod rest;
mod summary;

pub use counters::{Counters, Kind};
pub use fault::{Fault, LastFault};
pub use gauges::Gauges;
pub use numbers::{Errors, Limits, Operations, Stats};
pub use recent::history;
pub(crate) use rest::Rest;
pub use summary::Summary;
