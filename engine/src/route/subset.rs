//! Which servers an operation may go to: all, or some that a caller has chosen.
//!
//! A subset routes keys like a client with just these servers. It uses the connections of its client. An answer for one
//! subset is never used for another one, except from the same server.
//!
//! While the list of servers changes, a subset keeps the servers that it was made of, without those that have left the list;
//! one that returns is in it again. If none is left, operations fail as if all of them were down. The subset of all servers
//! of the list is the client itself, which follows the list.

use thiserror::Error as ThisError;

use super::router::{Explanation, Router};
use crate::config::{Config, Hash, ServerConfig};
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
    /// The servers that it was made of, in or out of the list. That of all servers has none: it is made of the list.
    ///
    /// Invariant: in increasing order, each once.
    made_of: Vec<ServerId>,
    /// Those of them that are in the list, in its order.
    servers: Vec<ServerId>,
    router: Router,
}

impl Route {
    fn new(hash: Hash, made_of: Vec<ServerId>, members: &[(ServerId, &ServerConfig)]) -> Self {
        let is_part = |id| made_of.is_empty() || made_of.binary_search(id).is_ok();
        let (servers, configs): (Vec<_>, Vec<_>) =
            members.iter().filter(|(id, _)| is_part(id)).map(|&(id, config)| (id, config.clone())).unzip();
        Route { made_of, servers, router: Router::new(hash, &configs) }
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
        let members: Vec<_> = config.servers.iter().enumerate().collect();
        Routes(vec![Route::new(config.hash, Vec::new(), &members)])
    }

    /// The list is this one from now on, of servers with these ids.
    pub fn follow(&mut self, config: &Config, ids: &[ServerId]) {
        let members: Vec<_> = ids.iter().copied().zip(&config.servers).collect();
        for route in &mut self.0 {
            *route = Route::new(config.hash, std::mem::take(&mut route.made_of), &members);
        }
    }

    /// The subset of these servers of the list. Their order does not matter: the list has one, so that the same servers
    /// are always the same subset.
    pub fn subset(&mut self, config: &Config, mut ids: Vec<ServerId>) -> Result<Subset, SubsetError> {
        ids.sort_unstable();
        if ids.is_empty() || ids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(SubsetError::Servers);
        }
        let all = self.servers(Subset::ALL);
        if all.len() == ids.len() {
            return Ok(Subset::ALL);
        }
        if let Some(known) = self.0.iter().position(|route| route.made_of == ids) {
            return Ok(Subset::from_index(known));
        }
        // The first one is that of all servers.
        let subset = Subset::from_index(self.0.len());
        if subset.index() > MAX_SUBSETS {
            return Err(SubsetError::TooMany);
        }
        let members: Vec<_> = all.iter().copied().zip(&config.servers).collect();
        let route = Route::new(config.hash, ids, &members);
        self.0.push(route);
        Ok(subset)
    }

    /// Whether there is this subset, with or without a server in the list.
    pub fn contains(&self, subset: Subset) -> bool {
        subset.index() < self.0.len()
    }

    /// The servers that a subset was made of; none for that of all servers.
    pub fn made_of(&self, subset: Subset) -> &[ServerId] {
        self.0.get(subset.index()).map_or(&[], |route| &route.made_of)
    }

    /// The servers of a subset, in the order of the list; none if there is no such subset.
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
        let Some(all) = self.0.first() else { return Explanation::default() };
        let why = all.router.explain(key.routed(), candidates);
        let candidates = why.candidates.iter().filter_map(|&n| all.servers.get(n).copied()).collect();
        Explanation { candidates, ..why }
    }
}
