//! A memcached client without I/O.
//!
//! It makes all decisions of a client for a cluster of memcacheds: how requests are encoded, which reply belongs to
//! which request, which server has a key, when a connection is opened or closed, when an operation times out, and
//! whether a server is up. It has no sockets, clocks, threads or nginx. A driver moves bytes and passes the time; see
//! [`Client`] for the contract between the two.
//!
//! ```
//! use memcache_engine::{Client, Config, Instant, Output, Request, ServerConfig, ServerParams, Verb};
//!
//! let (pool, weight) = ServerParams::default().finish()?;
//! let server = ServerConfig { name: "127.0.0.1:11211".into(), addresses: 1, pool, weight, backup: false };
//! let now = Instant::from_micros(0);
//! let mut client = Client::new(Config::new(vec![server]), 1, now);
//!
//! // An operation is submitted; the client asks for a connection.
//! let get = Request { key: b"cow", verb: Verb::Get { touch: None }, timeout: None };
//! client.submit(get, "what the driver wants back with the answer", now).map_err(|rejected| rejected.error)?;
//! assert!(matches!(client.poll_output(), Some(Output::Open { server: 0, address: 0, .. })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | its job |
//! |---|---|
//! | [`client`] | the state machine: operations, pools, deadlines |
//! | `front` | coalescing, batches, lease waits and shares of modules, before the servers |
//! | `network` | the connections of a client, its outputs to the driver, and its timers |
//! | `connection` | one connection's requests and replies, in order |
//! | `protocol` | requests to bytes, and bytes to replies |
//! | [`config`] | the configuration of a cluster |
//! | [`operation`] | input and output: keys, requests, replies, errors |
//! | `route` | which server has a key |
//! | `server` | one memcached: its pool, queue, health, address and counters |
//! | [`stats`], [`metrics`] | the counters, and the types that they are made of |
//! | `timers`, [`time`] | the timer queue; time as an argument |
//! | [`shared`] | memory that the workers of a host share |
//! | [`limits`] | bounds of memory, and of the configuration |

#![forbid(unsafe_code)]

pub mod client;
pub mod config;
mod connection;
mod front;
mod id;
pub mod limits;
pub mod metrics;
mod network;
pub mod operation;
mod protocol;
mod route;
mod server;
pub mod shared;
pub mod stats;
pub mod time;
mod timers;

pub use client::{Asker, Client, Completion, Rejected};
pub use config::{
    Config, Credentials, CredentialsError, Discovery, DiscoveryError, Failover, Hash, MembershipError, PoolLimits,
    Protocol, ServerConfig, ServerParams,
};
pub use front::modules::ModuleView;
pub use id::{CallId, ConnId, ServerId};
pub use limits::{
    CONNECT_BURST, CONNECT_RATE, IN_USE, MAX_BACKLOG, MAX_CANDIDATES, MAX_DISCOVERY, MAX_MODULES, MAX_STATS, PATIENCE,
    PIPELINE_BOUND, SPARE_TIME, SPARE_VALUES,
};
pub use metrics::counter::Memory;
pub use network::{Cause, Event, Loss, Output};
pub use operation::error::Error;
pub use operation::key::{Key, KeyError, MAX_KEY, MAX_LONG_KEY};
pub use operation::key_rules::{HashTag, KeyRules, LongKeys};
pub use operation::module::ModuleId;
pub use operation::reply::{keep, Answer, Item, Lease, Metadata, Outcome, Part};
pub use operation::request::{Direction, DiscoverBy, Request, ServerVerb, StoreMode, Ttl, Verb};
pub use protocol::line::MAX_LINE;
pub use protocol::unfit::{Unfit, TOO_MANY_CONNECTIONS};
pub use protocol::version::Version;
pub use route::subset::{Subset, SubsetError, MAX_SUBSETS};
pub use route::Explanation;
pub use server::{ServerMemory, ServerView, WorkerMemory};
pub use shared::{SharedHealth, SharedSwitch, State, Switch, Switched};
pub use stats::{Counters, Stats, Summary};
pub use time::Instant;
