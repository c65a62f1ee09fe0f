//! Which servers an operation may go to: all, or some that a caller has chosen.
//!
//! A subset has a routing of its own, which is that of a client with just these servers, over the connections of this
//! client. What one subset has asked for never answers another, unless it is the same server's.

use thiserror::Error as ThisError;

use super::{Client, Server};
use crate::config::{Config, Failover};
use crate::id::ServerId;
use crate::limits::MAX_CANDIDATES;
use crate::operation::error::Error;
use crate::operation::key::{Key, KeyError};
use crate::route::{Explanation, Router};

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
pub(super) struct Route {
    /// Invariant: in the order of the configuration, each once, at least one.
    servers: Vec<ServerId>,
    router: Router,
}

impl Route {
    pub fn all(config: &Config) -> Self {
        let servers = (0..config.servers.len()).collect();
        Route { servers, router: Router::new(config.hash, &config.servers) }
    }

    fn some(config: &Config, servers: Vec<ServerId>) -> Self {
        let configs: Vec<_> = servers.iter().filter_map(|&id| config.servers.get(id)).cloned().collect();
        Route { servers, router: Router::new(config.hash, &configs) }
    }

    /// The key's server.
    fn home(&self, key: &Key) -> Option<ServerId> {
        self.servers.get(self.router.route(key.raw())).copied()
    }

    /// The one that stands in for it.
    fn stand_in(&self, key: &Key, live: impl Fn(ServerId) -> bool) -> Option<ServerId> {
        let is_live = |n: usize| self.servers.get(n).is_some_and(|&id| live(id));
        self.servers.get(self.router.stand_in(key.raw(), is_live)?).copied()
    }
}

impl<T> Client<T> {
    /// A subset of a subset's servers, given by their places in it. Their order does not matter: they are routed to in
    /// the order of the configuration, so that the same servers are always the same subset.
    pub fn subset(&mut self, of: Subset, servers: &[usize]) -> Result<Subset, SubsetError> {
        let among = self.servers_of(of);
        let mut ids = servers.iter().map(|&n| among.get(n).copied()).collect::<Option<Vec<ServerId>>>();
        let ids = ids.as_mut().ok_or(SubsetError::Servers)?;
        ids.sort_unstable();
        if ids.is_empty() || ids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(SubsetError::Servers);
        }
        if let Some(known) = self.routes.iter().position(|route| route.servers == *ids) {
            return Ok(Subset::from_index(known));
        }
        // The first one is that of all servers.
        let subset = Subset::from_index(self.routes.len());
        if subset.index() > MAX_SUBSETS {
            return Err(SubsetError::TooMany);
        }
        self.routes.push(Route::some(&self.config, std::mem::take(ids)));
        Ok(subset)
    }

    /// The servers of a subset, in the order of the configuration; none if there is no such subset.
    pub fn servers_of(&self, subset: Subset) -> &[ServerId] {
        self.routes.get(subset.index()).map_or(&[], |route| &route.servers)
    }

    /// The server that has this key, whether or not it is up.
    pub fn server_of(&self, key: &[u8]) -> Result<ServerId, Error> {
        self.server_within(Subset::ALL, key)
    }

    /// The server of a subset that has this key for those who use the subset.
    pub fn server_within(&self, subset: Subset, key: &[u8]) -> Result<ServerId, Error> {
        let key = Key::new(&self.config.prefix, key, Vec::new())?;
        self.home(subset, &key).ok_or(Error::NoSuchServer)
    }

    /// Why this key goes where it goes, with up to [`MAX_CANDIDATES`] servers, and the one that
    /// is asked now; `None` if operations on it fail at once.
    pub fn explain(&self, key: &[u8]) -> Result<(Explanation, Option<ServerId>), KeyError> {
        let key = Key::new(&self.config.prefix, key, Vec::new())?;
        let explanation = self.routes.first().map(|all| all.router.explain(key.raw(), MAX_CANDIDATES));
        let home = self.home(Subset::ALL, &key);
        let server = home.map(|home| self.stand_in(Subset::ALL, home, &key).unwrap_or(home));
        let asked = server.filter(|&id| self.servers.get(id).is_some_and(Server::is_live));
        Ok((explanation.unwrap_or_default(), asked))
    }

    pub(super) fn home(&self, subset: Subset, key: &Key) -> Option<ServerId> {
        self.routes.get(subset.index())?.home(key)
    }

    /// The server of the subset that stands in for this one, if that is down and the configuration wants it.
    pub(super) fn stand_in(&self, subset: Subset, home: ServerId, key: &Key) -> Option<ServerId> {
        let live = |id: ServerId| self.servers.get(id).is_some_and(Server::is_live);
        if self.config.failover == Failover::Off || live(home) {
            return None;
        }
        self.routes.get(subset.index())?.stand_in(key, live)
    }
}
