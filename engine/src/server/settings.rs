//! The settings of a server.

use std::time::Duration;

use super::health::Policy;
use crate::config::{Config, PoolLimits, Protocol, ServerConfig};
use crate::limits::PIPELINE_BOUND;

/// The part of the configuration that a server needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub pool: PoolLimits,
    pub protocol: Protocol,
    /// The number of its socket addresses.
    pub address_count: usize,
    /// The pending replies at which another connection is opened, and the most operations that wait.
    pub pipeline: usize,
    pub queue: usize,
    pub max_value: usize,
    pub timeout: Duration,
    pub connect_timeout: Duration,
    max_fails: u32,
    pub retry: Duration,
}

impl Settings {
    pub fn new(config: &Config, server: &ServerConfig) -> Self {
        Settings {
            pool: server.pool,
            protocol: config.protocol,
            address_count: server.addresses,
            pipeline: config.pipeline,
            queue: config.queue,
            max_value: config.max_value,
            timeout: config.timeout,
            connect_timeout: config.connect_timeout,
            max_fails: config.max_fails,
            retry: config.retry,
        }
    }

    /// The most pending replies of a connection.
    pub fn pipeline_bound(&self) -> usize {
        self.pipeline.saturating_mul(PIPELINE_BOUND)
    }

    /// When the server counts as down, and for how long.
    pub fn policy(&self, jitter: f64) -> Policy {
        Policy { max_fails: self.max_fails, retry: self.retry, jitter }
    }
}
