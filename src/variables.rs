//! `$memcache_*`: the operations of a request, for the access log.
//!
//! The numbers are those of the main request and its subrequests together, wherever the variable is used. They start with
//! the first operation that is bound to the request, and are complete when the request is logged.

#![forbid(unsafe_code)]

use crate::abi::request::stats_of;
use crate::abi::stats::RequestStats;
use crate::nginx::request::Request;
use crate::nginx::variable;

/// Their names, in the order of [`value`].
pub struct Variables;

impl variable::Variables for Variables {
    const NAMES: &'static [&'static str] =
        &["memcache_time", "memcache_ops", "memcache_hits", "memcache_misses", "memcache_status"];

    fn value(request: Request<'_>, index: usize) -> Option<String> {
        stats_of(request).and_then(|stats| value(stats, index))
    }
}

fn value(stats: &RequestStats, index: usize) -> Option<String> {
    Some(match index {
        0 => {
            let millis = stats.micros() / 1000;
            format!("{}.{:03}", millis / 1000, millis % 1000)
        }
        1 => stats.operations().to_string(),
        2 => stats.hits().to_string(),
        3 => stats.misses().to_string(),
        4 => stats.status().word.to_string(),
        _ => return None,
    })
}
