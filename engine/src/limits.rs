//! Bounds of what can grow, and of what may be configured.

use std::time::Duration;

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

/// What the weights of all servers may add up to with `memcache_hash consistent`, whose ring has 160 points of 6 bytes
/// for each: 15 MiB per client. As many servers as there may be fit with a weight of 1.
///
/// The ring of `ketama` has 160 points per server, whatever the weights; the other hashes have none.
pub const MAX_RING_WEIGHT: u32 = 16_384;

/// The places that `memcache_hash modulo` spreads keys over: what is taken of a key's hash has 15 bits.
pub const MODULO_PLACES: u32 = 32_768;

/// The bound of a connection's pipeline, in units of `memcache_pipeline`: so many replies may be pending when no other
/// connection may be opened.
pub const PIPELINE_BOUND: usize = 8;

/// Bytes of values that may wait to be sent to one server; beyond, operations are [`Busy`](crate::Error::Busy).
pub const MAX_BACKLOG: usize = 64 * 1024 * 1024;

/// Room for so many bytes is made for a read.
pub(crate) const READ_CHUNK: usize = 16 * 1024;

/// A value of more bytes is large: what is put behind it on its connection would wait for it.
pub(crate) const BULK: usize = 64 * 1024;

/// Unwanted bytes that may be under way to a server, by estimate.
pub(crate) const MAX_WASTE: u64 = 256 * 1024;

/// Bytes that may be under way on a connection of values that are known to be large.
pub(crate) const MAX_LARGE: u64 = 4 * 1024 * 1024;

/// So often the deadline of an operation is put off while large values come on its connection, each time by
/// `memcache_timeout`, if that is the time that it was given.
pub const PATIENCE: u8 = 9;

/// Bytes of memory of large values that a client keeps for the next ones.
pub const SPARE_VALUES: usize = 4 * 1024 * 1024;

/// Memory of large values that has not been used for so long is freed, and for twice as long at most.
pub const SPARE_TIME: Duration = Duration::from_secs(5);

/// Connects to one server within a second, on average; up to [`CONNECT_BURST`] of them at once.
pub const CONNECT_RATE: u32 = 32;

/// Connects to one server at once.
pub const CONNECT_BURST: u32 = 16;

/// Bytes that the lines of a server's statistics may have.
pub const MAX_STATS: usize = 64 * 1024;

/// Servers that [`Client::explain`](crate::Client::explain) names for a key.
pub const MAX_CANDIDATES: usize = 8;

/// The pause between two probes never grows beyond this, unless `memcache_retry` is longer.
pub(crate) const MAX_PROBE_PAUSE: Duration = Duration::from_secs(60);

/// The most that batches of a client hold of values, in bytes, from when they come until the batch is handed out. A
/// value that would exceed it is dropped, and its key ends with [`Busy`](crate::Error::Busy); one alone is always held.
pub const MAX_GATHERED: usize = 64 * 1024 * 1024;

/// Seconds that the place of a lease is given which two have touched at once, where one has set it to live for ever.
pub(crate) const PLACE_LIFE: u32 = 60;
