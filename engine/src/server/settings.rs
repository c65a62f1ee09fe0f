//! The settings of a server.

use std::num::NonZeroU32;
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
    /// How many seconds an item lives there at most, if it is a backup.
    pub longest_life: Option<NonZeroU32>,
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
            longest_life: NonZeroU32::new(config.backup_ttl).filter(|_| server.backup),
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
