//! The configuration of a cluster.

use std::time::Duration;

use bytes::Bytes;

use super::choice::{Failover, Hash, Protocol};
use super::credentials::Credentials;
use super::params::PoolLimits;
use crate::operation::key_rules::KeyRules;

/// A server of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address as configured, with its port. Logs, diagnostics and hashing use it.
    pub name: Bytes,
    /// The number of socket addresses of the name. A connect that fails is tried on the next one. 0: none is known yet, see
    /// [`set_addresses`](crate::Client::set_addresses).
    pub addresses: usize,
    /// The pool's numbers.
    pub pool: PoolLimits,
    /// The server's share of the keys.
    pub weight: u32,
    /// Whether it has no keys of its own, and stands in for servers that are down.
    pub backup: bool,
}

/// All settings of a client. Equal ones may share a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The name of its `memcache_cluster`; empty if it has none.
    pub name: Bytes,
    /// The servers in the order of the configuration, at least one and at most [`MAX_SERVERS`](crate::limits::MAX_SERVERS), with weights that
    /// [`check_weights`](Config::check_weights) allows, and backup servers that [`check_backups`](Config::check_backups) allows.
    pub servers: Vec<ServerConfig>,
    /// How keys are spread.
    pub hash: Hash,
    /// Whether another server stands in for one that is down.
    pub failover: Failover,
    /// How long an item lives on a backup server at most, in seconds from 1 to
    /// [`MAX_BACKUP_TTL`](crate::limits::MAX_BACKUP_TTL).
    pub backup_ttl: u32,
    /// What the servers are spoken to in.
    pub protocol: Protocol,
    /// Deadline of an operation: queue, connect and exchange together.
    pub timeout: Duration,
    /// Deadline of a connect and its handshake.
    pub connect_timeout: Duration,
    /// Consecutive failures after which a server is down.
    pub max_fails: u32,
    /// The time between two probes of a server that is down, before backoff.
    pub retry: Duration,
    /// Pending replies of a connection before another is opened; the bound of a pipeline is
    /// [`PIPELINE_BOUND`](crate::PIPELINE_BOUND) times this.
    pub pipeline: usize,
    /// Operations that may wait per server.
    pub queue: usize,
    /// Whether equal gets share one exchange while it is pending.
    pub coalesce: bool,
    /// The largest value in either direction, in bytes.
    pub max_value: usize,
    /// How keys are made from those of callers.
    pub keys: KeyRules,
    /// How connections are secured, as a text that is the same where they are secured the same; empty: not at all. The
    /// driver secures them. The engine only tells clients apart by it.
    pub security: Bytes,
    /// User and password for servers that ask for them.
    pub credentials: Option<Credentials>,
}

impl Config {
    /// Default of `memcache_backup_ttl`, in seconds.
    pub const BACKUP_TTL: u32 = 10;
    /// Default of `memcache_timeout`.
    pub const TIMEOUT: Duration = Duration::from_secs(1);
    /// Default of `memcache_connect_timeout`.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);
    /// Default of `memcache_max_fails`.
    pub const MAX_FAILS: u32 = 3;
    /// Default of `memcache_retry`.
    pub const RETRY: Duration = Duration::from_secs(5);
    /// Default of `memcache_pipeline`.
    pub const PIPELINE: usize = 128;
    /// Default of `memcache_queue`.
    pub const QUEUE: usize = 1024;
    /// Default of `memcache_max_value`, in bytes. memcached accepts such a value with any key if its items may have 1 MiB, which
    /// is its default. The item's head, key and flags take up to 320 bytes (measured with 1.6.10 to 1.6.45).
    pub const MAX_VALUE: usize = 1023 * 1024;

    /// The defaults with these servers.
    pub fn new(servers: Vec<ServerConfig>) -> Self {
        Config {
            name: Bytes::new(),
            servers,
            hash: Hash::default(),
            failover: Failover::default(),
            backup_ttl: Self::BACKUP_TTL,
            protocol: Protocol::default(),
            timeout: Self::TIMEOUT,
            connect_timeout: Self::CONNECT_TIMEOUT,
            max_fails: Self::MAX_FAILS,
            retry: Self::RETRY,
            pipeline: Self::PIPELINE,
            queue: Self::QUEUE,
            coalesce: false,
            max_value: Self::MAX_VALUE,
            keys: KeyRules::default(),
            security: Bytes::new(),
            credentials: None,
        }
    }
}
