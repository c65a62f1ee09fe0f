//! The configuration of a cluster: types that cannot hold an invalid value, and the parameters of `memcache_server`.

mod backups;
mod choice;
mod cluster;
mod credentials;
mod discovery;
mod membership;
mod params;
mod weights;

pub use backups::BackupError;
pub use choice::{Failover, Hash, Protocol};
pub use cluster::{Config, ServerConfig};
pub use credentials::{Credentials, CredentialsError};
pub use discovery::{Discovery, DiscoveryError, Node};
pub use membership::MembershipError;
pub use params::{parse_seconds, ParamError, PoolLimits, ServerParams};
pub use weights::WeightError;
