//! Bounds of everything that can grow, and of the configuration.

use std::time::Duration;

/// The longest timeout that an operation, a connect or a retry may have.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest time, in seconds, that a pooled connection may idle: 365 days.
pub const MAX_IDLE: u32 = 365 * 24 * 60 * 60;
/// The most connections that a pool may be allowed.
pub const MAX_CONNECTIONS: u32 = 65_535;
/// The largest weight of a server.
pub const MAX_WEIGHT: u32 = 65_535;
/// The longest `memcache_backup_ttl`, in seconds: 30 days, as memcached reads more as a moment in Unix time.
pub const MAX_BACKUP_TTL: u32 = 30 * 24 * 60 * 60;
/// The port of an address without one.
pub const DEFAULT_PORT: u16 = 11_211;
/// The longest `user:password`, in bytes. memcached with `-Y` cuts what is longer, without a word.
pub const MAX_CREDENTIALS: usize = 255;
/// The most servers of one client.
pub const MAX_SERVERS: usize = 16_384;

/// The most addresses of one server. Of a name with more, the first ones in their order are used.
pub const MAX_ADDRESSES: usize = 64;

/// The most servers that have left a client's list and still have answers to come. A further change of the list is refused.
pub const MAX_LEAVING: usize = MAX_SERVERS;

/// The most empty places that a client keeps for the names of servers that have gone. The id of such a server is refused;
/// it may mean another server only after so many others have gone.
pub const MAX_GONE: usize = 16_384;

/// The largest sum of all servers' weights with `memcache_hash consistent`, whose ring has 160 points of 6 bytes
/// for each: 15 MiB per client. The largest number of servers fits with a weight of 1.
///
/// The ring of `ketama` has 160 points per server, whatever the weights; the other hashes have none.
pub const MAX_RING_WEIGHT: u32 = 16_384;

/// The number of values of a key's hash with `memcache_hash modulo`, which has 15 bits.
pub const MODULO_PLACES: u32 = 32_768;

/// The bound of a connection's pipeline, in units of `memcache_pipeline`: the most pending replies when no other
/// connection may be opened.
pub const PIPELINE_BOUND: usize = 8;

/// Bytes of values that may wait to be sent to one server; beyond, operations are [`Busy`](crate::Error::Busy).
pub const MAX_BACKLOG: usize = 64 * 1024 * 1024;

/// The room in bytes for a read.
pub(crate) const READ_CHUNK: usize = 16 * 1024;

/// A value of more bytes is large: further operations on its connection would wait for it.
pub(crate) const BULK: usize = 64 * 1024;

/// The most unwanted bytes that may be pending from a server, by estimate.
pub(crate) const MAX_WASTE: u64 = 256 * 1024;

/// The most pending bytes, on a connection, of values that are known to be large.
pub(crate) const MAX_LARGE: u64 = 4 * 1024 * 1024;

/// How often the deadline of an operation is extended while large values are transferred on its connection. Each time adds
/// `memcache_timeout`. An operation with a timeout of its own is not extended.
pub const PATIENCE: u8 = 9;

/// Bytes of memory of large values that a client keeps for later ones.
pub const SPARE_VALUES: usize = 4 * 1024 * 1024;

/// Memory of large values is freed when it was not used for this time, and after twice this time at the latest.
pub const SPARE_TIME: Duration = Duration::from_secs(5);

/// Connects to one server per second, on average; up to [`CONNECT_BURST`] at once.
pub const CONNECT_RATE: u32 = 32;

/// Connects to one server at once.
pub const CONNECT_BURST: u32 = 16;

/// The largest size of a server's statistics, in bytes.
pub const MAX_STATS: usize = 64 * 1024;

/// The largest answer of a configuration endpoint, in bytes: 2000 servers with long names.
pub const MAX_DISCOVERY: usize = 256 * 1024;

/// Servers that [`Client::explain`](crate::Client::explain) names for a key.
pub const MAX_CANDIDATES: usize = 8;

/// A client that is asked nothing looks so often whether the operator has changed a switch.
pub(crate) const SWITCH_PAUSE: Duration = Duration::from_secs(1);

/// The most modules of a client that are told apart. Those beyond count as if they had not said who they are.
pub const MAX_MODULES: usize = 31;

/// For so long after its last operation, a module counts as one that uses the client.
pub const IN_USE: Duration = Duration::from_secs(1);

/// The longest interval between two probes, unless `memcache_retry` is longer.
pub(crate) const MAX_PROBE_PAUSE: Duration = Duration::from_secs(60);

/// The most bytes of values that the batches of a client hold until they are delivered. A value beyond it is dropped, and
/// its key ends with [`Busy`](crate::Error::Busy). A single value is always held.
pub const MAX_GATHERED: usize = 64 * 1024 * 1024;

/// The expiry in seconds of a lease's empty item after two touches at once, one of which has removed its expiry.
pub(crate) const PLACE_LIFE: u32 = 60;

/// The longest text of a list of servers that workers share, in bytes: about 1000 servers with names of 40 bytes.
pub const MAX_PUBLISHED: usize = 64 * 1024;

/// The servers of a list that changes that have memory in the zone at the same time, those that have gone last included.
pub const MAX_RECORDS: usize = 32;
