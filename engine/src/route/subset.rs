//! Which servers an operation may go to: all, or some that a caller has chosen.
//!
//! A subset has a routing of its own, which is that of a client with just these servers, over the connections of this
//! client. What one subset has asked for never answers another, unless it is the same server's.

use thiserror::Error as ThisError;

use super::router::{Explanation, Router};
use crate::config::Config;
use crate::id::ServerId;
use crate::operation::key::Key;

/// The most subsets of one client; each takes the memory of its routing, up to what that of the client takes.
pub const MAX_SUBSETS: usize = 32;

/// Some of a client's servers, or all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Subset(u16);

impl Subset {
    /// All servers.
    pub const ALL: Subset = Subset(0);

    /// 0 is [`ALL`](Subset::ALL), others up to [`MAX_SUBSETS`] follow in the order in which they were asked for.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// From any number; one that never was a subset has no servers.
    pub fn from_index(index: usize) -> Self {
        Subset(u16::try_from(index).unwrap_or(u16::MAX))
    }
}

/// Why there is no such subset.
#[derive(Clone, Copy, Debug, ThisError, PartialEq, Eq)]
pub enum SubsetError {
    /// No server, one twice, or one that there is not.
    #[error("a subset has at least one server, each once, and only servers of the client")]
    Servers,
    /// There are as many as there may be.
    #[error("a client has at most {MAX_SUBSETS} subsets")]
    TooMany,
}

/// A subset's servers, and how keys are spread over them.
#[derive(Debug)]
pub(crate) struct Route {
    /// Invariant: in the order of the configuration, each once, at least one.
    servers: Vec<ServerId>,
    router: Router,
}

impl Route {
    pub fn all(config: &Config) -> Self {
        let servers = (0..config.servers.len()).collect();
        Route { servers, router: Router::new(config.hash, &config.servers) }
    }

    pub fn some(config: &Config, servers: Vec<ServerId>) -> Self {
        let configs: Vec<_> = servers.iter().filter_map(|&id| config.servers.get(id)).cloned().collect();
        Route { servers, router: Router::new(config.hash, &configs) }
    }

    /// The key's server.
    pub fn home(&self, key: &Key) -> Option<ServerId> {
        self.servers.get(self.router.route(key.raw())).copied()
    }

    /// The one that stands in for it.
    pub fn stand_in(&self, key: &Key, live: impl Fn(ServerId) -> bool) -> Option<ServerId> {
        let is_live = |n: usize| self.servers.get(n).is_some_and(|&id| live(id));
        self.servers.get(self.router.stand_in(key.raw(), is_live)?).copied()
    }

    /// In the order of the configuration.
    pub fn servers(&self) -> &[ServerId] {
        &self.servers
    }

    /// Why a key goes where it goes, with so many servers at most.
    pub fn explain(&self, key: &Key, candidates: usize) -> Explanation {
        self.router.explain(key.raw(), candidates)
    }
}
