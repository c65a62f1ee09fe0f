//! A cluster as configured: types that cannot hold a bad value, and the parameters of `memcache_server`.

mod params;
mod weights;

use std::time::Duration;

use bytes::Bytes;

pub use params::{parse_seconds, ParamError, PoolLimits, ServerParams};
pub use weights::{WeightError, MAX_RING_WEIGHT, MODULO_PLACES};

/// The longest timeout that an operation, a connect or a retry may have.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest time, in seconds, that a pooled connection may idle: 365 days.
pub const MAX_IDLE: u32 = 365 * 24 * 60 * 60;
/// The most connections that a pool may be allowed.
pub const MAX_CONNECTIONS: u32 = 65_535;
/// The largest weight of a server.
pub const MAX_WEIGHT: u32 = 65_535;
/// The port of an address without one.
pub const DEFAULT_PORT: u16 = 11_211;
/// The most servers of one client.
pub const MAX_SERVERS: usize = 16_384;

/// A server of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address as configured, with its port: what logs and diagnostics show and what hashing uses.
    pub name: Bytes,
    /// How many socket addresses the name stands for; a connect that fails is tried on the next.
    pub addresses: usize,
    /// The pool's numbers.
    pub pool: PoolLimits,
    /// The server's share of the keys.
    pub weight: u32,
}

/// How keys are spread over the servers (`memcache_hash`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hash {
    /// `((crc32 >> 16) & 0x7fff)` modulo the sum of the weights: nginx `hash $key`, and apr_memcache, which has no
    /// weights and takes 0 for 1.
    #[default]
    Modulo,
    /// The CRC-32 ring of nginx `hash $key consistent`.
    Consistent,
    /// The weighted MD5 ring of libmemcached, which is PHP's `OPT_LIBKETAMA_COMPATIBLE` and twemproxy's `ketama` with
    /// `md5`.
    Ketama,
    /// The highest random weight of `memcache::exp`, in the crate `memcache`; without weights.
    Rendezvous,
}

impl Hash {
    /// All of them.
    pub const ALL: [Hash; 4] = [Hash::Modulo, Hash::Consistent, Hash::Ketama, Hash::Rendezvous];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Hash::Modulo => "modulo",
            Hash::Consistent => "consistent",
            Hash::Ketama => "ketama",
            Hash::Rendezvous => "rendezvous",
        }
    }

    /// The hash with this word.
    pub fn parse(word: &[u8]) -> Option<Hash> {
        Hash::ALL.into_iter().find(|hash| hash.name().as_bytes() == word)
    }
}

/// What becomes of the operations for a server that is down (`memcache_failover`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failover {
    /// They fail at once. Its keys stay where they are, so nothing stale appears when it returns.
    #[default]
    Off,
    /// The next live server stands in for it. When it returns it has what it had before, outdated or not.
    Next,
}

impl Failover {
    /// All of them.
    pub const ALL: [Failover; 2] = [Failover::Off, Failover::Next];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Failover::Off => "off",
            Failover::Next => "next",
        }
    }

    /// The policy with this word.
    pub fn parse(word: &[u8]) -> Option<Failover> {
        Failover::ALL.into_iter().find(|failover| failover.name().as_bytes() == word)
    }
}

/// Everything that decides how a client behaves. Two equal ones may share a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The servers in the order of the configuration, at least one and at most [`MAX_SERVERS`], with weights that
    /// [`check_weights`](Config::check_weights) allows.
    pub servers: Vec<ServerConfig>,
    /// How keys are spread.
    pub hash: Hash,
    /// Whether another server stands in for one that is down.
    pub failover: Failover,
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
    /// Whether equal gets that are under way share one exchange.
    pub coalesce: bool,
    /// The largest value in either direction, in bytes.
    pub max_value: usize,
    /// Put in front of every key.
    pub prefix: Bytes,
}

impl Config {
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
    /// Default of `memcache_max_value`, in bytes: what memcached takes with any key where its items may have a MiB, which is
    /// its default. The item's head, key and flags take up to 320 bytes (seen from 1.6.10 to 1.6.45).
    pub const MAX_VALUE: usize = 1023 * 1024;

    /// The defaults with these servers.
    pub fn new(servers: Vec<ServerConfig>) -> Self {
        Config {
            servers,
            hash: Hash::default(),
            failover: Failover::default(),
            timeout: Self::TIMEOUT,
            connect_timeout: Self::CONNECT_TIMEOUT,
            max_fails: Self::MAX_FAILS,
            retry: Self::RETRY,
            pipeline: Self::PIPELINE,
            queue: Self::QUEUE,
            coalesce: false,
            max_value: Self::MAX_VALUE,
            prefix: Bytes::new(),
        }
    }
}
