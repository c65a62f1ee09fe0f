//! All data of the status. The JSON has these fields with these names: see [`json`](crate::json).
//!
//! Moments are milliseconds since the Unix epoch, durations are microseconds, sizes are bytes.

use serde::{Serialize, Serializer};

use crate::switches::TakenOut;

/// The version of the schema. It grows when a field is removed or changes its meaning. New fields may come without that.
pub const SCHEMA: u32 = 2;

/// A moment: milliseconds since the Unix epoch.
pub type Millis = u64;

/// Numbers with names, in the order in which they are shown.
pub type Named<T> = Vec<(&'static str, T)>;

/// All clients of nginx's workers, or of one worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// [`SCHEMA`]
    pub schema: u32,
    /// Of the module.
    pub version: &'static str,
    /// Of the interface for siblings: `major.minor`.
    pub abi: String,
    /// The version of nginx.
    pub nginx: String,
    /// The time of the snapshot.
    pub now: Millis,
    /// Minutes that the times of the error log, and of the page, are ahead of UTC.
    pub utc_offset: i32,
    /// Whether the numbers are those of all workers.
    pub scope: Scope,
    /// The worker that answers.
    pub pid: i32,
    /// The number of this worker's configuration, of those that nginx has read since its start.
    pub generation: u64,
    /// The workers that the numbers are from, including the one that answers.
    pub workers: Vec<Worker>,
    /// Values that modules keep for their responses, in the worker that answers.
    pub retained: Retained,
    /// In the order of the configuration.
    pub clients: Vec<Client>,
    /// The route of the key of `?key=`, for each client.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
}

/// The scope of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Those of the worker that answers: there is no `memcache_zone`.
    Worker,
    /// Those of all workers, also of earlier ones.
    Zone,
}

/// Values that modules keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retained {
    /// Their bytes.
    pub bytes: usize,
    /// `memcache_max_retained`
    pub max: usize,
    /// Values that were not kept because of the limit.
    pub refused: u64,
}

/// A worker process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Worker {
    /// Its process.
    pub pid: i32,
    /// As [`Snapshot::generation`].
    pub generation: u64,
    /// Its slot in the zone, or its number among the workers.
    pub slot: usize,
}

/// A list of servers with its settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Client {
    /// The name of its cluster: see [`name_clusters`](crate::names::name_clusters).
    pub cluster: String,
    /// Names of the `server` blocks that use it; only the first ones, if there are many.
    pub used_by: Vec<String>,
    /// The version of the list of servers; 0: that of the configuration.
    pub list_version: u64,
    /// `memcache_hash`
    pub hash: &'static str,
    /// `memcache_failover`
    pub failover: &'static str,
    /// `memcache_backup_ttl`, in seconds; `None` without `memcache_failover backup`
    pub backup_ttl: Option<u32>,
    /// `memcache_protocol`
    pub protocol: &'static str,
    /// `memcache_timeout`
    pub timeout_ms: u64,
    /// `memcache_connect_timeout`
    pub connect_timeout_ms: u64,
    /// `memcache_max_fails`
    pub max_fails: u32,
    /// `memcache_retry`
    pub retry_ms: u64,
    /// `memcache_pipeline`
    pub pipeline: usize,
    /// `memcache_queue`
    pub queue: usize,
    /// `memcache_max_value`
    pub max_value: usize,
    /// `memcache_coalesce`
    pub coalesce: bool,
    /// `memcache_hash_prefix`
    pub hash_prefix: bool,
    /// `memcache_hash_tag`; `None` is `off`
    pub hash_tag: Option<String>,
    /// `memcache_long_keys`
    pub long_keys: &'static str,
    /// `memcache_ssl`
    pub ssl: bool,
    /// The settings that are not shown, as a text: another one for clients with others.
    #[serde(skip)]
    pub not_shown: String,
    /// The addresses and weights of the servers in the configuration, and whether each is a backup.
    #[serde(skip)]
    pub configured: Vec<(String, u32, bool)>,
    /// Operations that were submitted and have not ended.
    pub pending: u64,
    /// Turns of the event loop in which the work limit of one turn was reached.
    pub turns_cut: u64,
    /// The longest time, in milliseconds, of the handlers in one turn of the event loop.
    pub longest_handlers_ms: u64,
    /// The modules that have asked, in the worker that answers.
    pub modules: Vec<Module>,
    /// In the order of the list.
    pub servers: Vec<Server>,
}

/// A module that uses a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Module {
    /// Its name; `-`: all that have not said which module they are.
    pub name: String,
    /// Operations that were accepted.
    pub operations: u64,
    /// Operations that failed, or were refused.
    pub errors: u64,
    /// Operations that wait for a connection.
    pub queued: u64,
}

/// A server of a client.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Server {
    /// The address as configured, with its port.
    pub address: String,
    /// The socket address in use, of those of the name; empty: none is known yet.
    pub asked_at: String,
    /// The number of these.
    pub addresses: usize,
    /// Whether the name is followed, so that they may change.
    pub resolve: bool,
    /// Its state; with a zone, that of all workers.
    pub state: State,
    /// The time of the last change of the state.
    pub since: Millis,
    /// What the operator has done to it, if it is out of use for that.
    pub operator: Option<TakenOut>,
    /// The memcached version that it has reported, if any.
    pub version: Option<String>,
    /// What it is spoken to in, `meta` or `text`; `None`: it has not been greeted yet.
    pub protocol: Option<&'static str>,
    /// Its share of the keys.
    pub weight: u32,
    /// Whether it has no keys of its own, and stands in for others.
    pub backup: bool,
    /// As configured, for each worker.
    pub pool: Pool,
    /// Current and former connections.
    pub connections: Connections,
    /// Pending replies.
    pub pending: u64,
    /// Operations that wait for a connection.
    pub queued: u64,
    /// Operations that were accepted, by kind.
    #[serde(serialize_with = "object")]
    pub operations: Named<u64>,
    /// Gets that found an item.
    pub hits: u64,
    /// Gets that found none.
    pub misses: u64,
    /// Operations that failed, by class.
    #[serde(serialize_with = "object")]
    pub errors: Named<u64>,
    /// How often a limit was hit.
    #[serde(serialize_with = "object")]
    pub limits: Named<u64>,
    /// Gets that shared the exchange of another one.
    pub coalesced: u64,
    /// Operations that were sent again.
    pub retried: u64,
    /// Operations that went to another server, as this one was down.
    pub failed_over: u64,
    /// Leases that were given back because the caller does not make the item.
    pub handed_back: u64,
    /// To and from the server.
    pub bytes: Bytes,
    /// From submit to completion, of all operations.
    pub latency: Latency,
    /// The same by kind of operation; kinds may be grouped.
    #[serde(serialize_with = "object")]
    pub latency_by_kind: Named<Latency>,
    /// From submit until the operation is given to a connection.
    pub queue_time: Latency,
    /// The last error.
    pub last_error: Option<LastError>,
    /// The last minutes, the oldest first.
    pub history: Vec<Sample>,
    /// The numbers of each worker; empty without a zone.
    pub workers: Vec<ServerInWorker>,
}

/// The state of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Operations are sent to it.
    Live,
    /// Operations fail at once; it is probed.
    Down,
    /// Taken out of use.
    Disabled,
}

impl State {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Down => "down",
            State::Disabled => "disabled",
        }
    }
}

/// The numbers of a pool, for each worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// Connections that are kept open.
    pub min: u32,
    /// Connections that may idle for longer than `ttl`.
    pub smax: u32,
    /// Connections at most.
    pub max: u32,
    /// Seconds; 0: never.
    pub ttl: u32,
}

/// Connections to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Connections {
    /// Ready for operations.
    pub open: u64,
    /// Not ready yet.
    pub connecting: u64,
    /// Of those open: without a pending reply.
    pub idle: u64,
    /// Of those open: with one.
    pub busy: u64,
    /// So far: became ready.
    pub opened: u64,
    /// So far: never became ready.
    pub failed: u64,
    /// So far: ended abnormally.
    pub lost: u64,
}

/// Traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bytes {
    /// From the server.
    pub read: u64,
    /// To the server.
    pub written: u64,
}

/// A distribution of durations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum_us: u64,
    /// Half took no longer.
    pub p50_us: u64,
    /// Nine of ten took no longer.
    pub p90_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// The buckets that are not empty, in ascending order.
    pub buckets: Vec<Bucket>,
}

/// A range of durations: above the one of the bucket before it, up to `le_us`. In JSON it is `[le_us, count]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The longest duration in it.
    pub le_us: u64,
    /// How many were in this bucket alone.
    pub count: u64,
}

/// The last error of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// One of few words, such as `timeout` or `refused`.
    pub class: &'static str,
    /// What happened, in a few words, without any bytes of a server.
    pub text: String,
    /// A possible cause, or where to look; may be empty.
    pub hint: &'static str,
    /// When.
    pub at: Millis,
}

/// The numbers of a few seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// When these seconds began.
    pub at: Millis,
    /// How long they were; shorter than the others if they are not over.
    pub millis: u64,
    /// Operations that ended.
    pub operations: u64,
    /// Gets that found an item.
    pub hits: u64,
    /// Gets that found none.
    pub misses: u64,
    /// Operations that failed.
    pub errors: u64,
    /// Half of the operations took no longer; 0 if there was none.
    pub p50_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
}

/// A server as one worker sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServerInWorker {
    /// [`Worker::slot`]
    pub slot: usize,
    /// Its state for this worker.
    pub state: State,
    /// Connections that are ready.
    pub open: u64,
    /// Of those: with a pending reply.
    pub busy: u64,
    /// Pending replies.
    pub pending: u64,
    /// Operations that wait for a connection.
    pub queued: u64,
    /// Operations that were accepted.
    pub operations: u64,
    /// Operations that failed.
    pub errors: u64,
}

/// The route of a key, and its reason. The key itself is not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// The index of the client in [`Snapshot::clients`].
    pub client: usize,
    /// Why the key cannot be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The hash of the part of the key that is hashed; `None` if there is no single one.
    pub hash: Option<u32>,
    /// The value that selects the server: a share of the weights, or a point on the ring.
    pub point: Option<u32>,
    /// The key's own server, and then those that would stand in for it, in this order: the backup servers, or with `memcache_failover next`
    /// the others. Indexes in [`Client::servers`]. If there are many, only the first ones.
    pub candidates: Vec<usize>,
    /// The server that is asked now; `None`: operations fail at once.
    pub server: Option<usize>,
}

fn object<T: Serialize, S: Serializer>(named: &Named<T>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(named.iter().map(|(name, value)| (*name, value)))
}

impl Serialize for Bucket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.le_us, self.count).serialize(serializer)
    }
}
