//! Which servers an operation may go to: all, or some that a caller has chosen.
//!
//! A subset routes keys like a client with just these servers. It uses the connections of its client. An answer for one
//! subset is never used for another one, except from the same server.

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

    /// A subset from any number; one that does not exist has no servers.
    pub fn from_index(index: usize) -> Self {
        Subset(u16::try_from(index).unwrap_or(u16::MAX))
    }
}

/// Why there is no such subset.
#[derive(Clone, Copy, Debug, ThisError, PartialEq, Eq)]
pub enum SubsetError {
    /// There is no server, a server is given twice, or it does not exist.
    #[error("a subset has at least one server, each once, and only servers of the client")]
    Servers,
    /// There are [`MAX_SUBSETS`] already.
    #[error("a client has at most {MAX_SUBSETS} subsets")]
    TooMany,
}

/// A subset's servers, and their routing.
#[derive(Debug)]
struct Route {
    /// Invariant: in the order of the configuration, each once, at least one.
    servers: Vec<ServerId>,
    router: Router,
}

impl Route {
    fn all(config: &Config) -> Self {
        let servers = (0..config.servers.len()).collect();
        Route { servers, router: Router::new(config.hash, &config.servers) }
    }

    fn some(config: &Config, servers: Vec<ServerId>) -> Self {
        let configs: Vec<_> = servers.iter().filter_map(|&id| config.servers.get(id)).cloned().collect();
        Route { servers, router: Router::new(config.hash, &configs) }
    }

    /// The key's server.
    fn home(&self, key: &Key) -> Option<ServerId> {
        self.servers.get(self.router.route(key.routed())).copied()
    }

    /// The one that stands in for it.
    fn stand_in(&self, key: &Key, live: impl Fn(ServerId) -> bool) -> Option<ServerId> {
        let is_live = |n: usize| self.servers.get(n).is_some_and(|&id| live(id));
        self.servers.get(self.router.stand_in(key.routed(), is_live)?).copied()
    }
}

/// The routings of a client: that of all servers, and those of the subsets that it was asked for.
///
/// Invariant: there is that of all servers, and never fewer than before, so that a [`Subset`] stays what it is.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Route>);

impl Routes {
    pub fn new(config: &Config) -> Self {
        Routes(vec![Route::all(config)])
    }

    /// A subset of a subset's servers, given by their places in it. Their order does not matter: they are routed to in
    /// the order of the configuration, so that the same servers are always the same subset.
    pub fn subset(&mut self, config: &Config, of: Subset, servers: &[usize]) -> Result<Subset, SubsetError> {
        let among = self.servers(of);
        let ids = servers.iter().map(|&n| among.get(n).copied()).collect::<Option<Vec<ServerId>>>();
        let mut ids = ids.ok_or(SubsetError::Servers)?;
        ids.sort_unstable();
        if ids.is_empty() || ids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(SubsetError::Servers);
        }
        if let Some(known) = self.0.iter().position(|route| route.servers == ids) {
            return Ok(Subset::from_index(known));
        }
        // The first one is that of all servers.
        let subset = Subset::from_index(self.0.len());
        if subset.index() > MAX_SUBSETS {
            return Err(SubsetError::TooMany);
        }
        self.0.push(Route::some(config, ids));
        Ok(subset)
    }

    /// The servers of a subset, in the order of the configuration; none if there is no such subset.
    pub fn servers(&self, subset: Subset) -> &[ServerId] {
        self.0.get(subset.index()).map_or(&[], |route| &route.servers)
    }

    /// The key's own server among those of a subset.
    pub fn home(&self, subset: Subset, key: &Key) -> Option<ServerId> {
        self.0.get(subset.index())?.home(key)
    }

    /// The one of them that stands in for it.
    pub fn stand_in(&self, subset: Subset, key: &Key, live: impl Fn(ServerId) -> bool) -> Option<ServerId> {
        self.0.get(subset.index())?.stand_in(key, live)
    }

    /// Explains a key's route among all servers, with at most so many of them.
    pub fn explain(&self, key: &Key, candidates: usize) -> Explanation {
        self.0.first().map(|all| all.router.explain(key.routed(), candidates)).unwrap_or_default()
    }
}
