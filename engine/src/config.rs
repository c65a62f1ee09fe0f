//! A cluster as configured: types that cannot hold a bad value, and the parameters of `memcache_server`.

mod choice;
mod cluster;
mod params;
mod weights;

pub use choice::{Failover, Hash};
pub use cluster::{Config, ServerConfig};
pub use params::{parse_seconds, ParamError, PoolLimits, ServerParams};
pub use weights::WeightError;
