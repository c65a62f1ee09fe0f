//! Which servers an operation may go to: all, or some that a caller has chosen.
//!
//! A subset routes keys like a client with just these servers. It uses the connections of its client. An answer for one
//! subset is never used for another one, except from the same server.
//!
//! Backup servers have a routing of their own, by [`Hash::of_backups`] and their weights. They are no part of any subset, and
//! stand in for the servers of all.
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
    /// There is no server that is not a backup, a server is given twice, or it does not exist.
    #[error("a subset has at least one server that is not a backup, each once, and only servers of the client")]
    Servers,
    /// There are [`MAX_SUBSETS`] already.
    #[error("a client has at most {MAX_SUBSETS} subsets")]
    TooMany,
}

/// A server of the list, and its number there.
type Member<'a> = (ServerId, &'a ServerConfig);

/// Some servers, and their routing.
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
    /// That of a subset.
    fn new(hash: Hash, made_of: Vec<ServerId>, members: &[Member<'_>]) -> Self {
        let is_part = |id: ServerId| made_of.is_empty() || made_of.binary_search(&id).is_ok();
        let route = Route::over(hash, members, |id, config| !config.backup && is_part(id));
        Route { made_of, ..route }
    }

    /// That of the backup servers.
    fn of_backups(hash: Hash, members: &[Member<'_>]) -> Self {
        Route::over(hash.of_backups(), members, |_, config| config.backup)
    }

    fn over(hash: Hash, members: &[Member<'_>], is_part: impl Fn(ServerId, &ServerConfig) -> bool) -> Self {
        let parts = members.iter().filter(|&&(id, config)| is_part(id, config));
        let (servers, configs): (Vec<_>, Vec<_>) = parts.map(|&(id, config)| (id, config.clone())).unzip();
        Route { made_of: Vec::new(), servers, router: Router::new(hash, &configs) }
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

/// The routings of a client.
#[derive(Debug)]
pub(crate) struct Routes {
    /// That of all servers, and those of the subsets that it was asked for.
    ///
    /// Invariant: there is that of all servers, and never fewer than before, so that a [`Subset`] stays what it is.
    subsets: Vec<Route>,
    backups: Route,
    /// All servers of the list, in its order.
    members: Vec<ServerId>,
}

impl Routes {
    pub fn new(config: &Config) -> Self {
        let members: Vec<_> = config.servers.iter().enumerate().collect();
        Routes {
            subsets: vec![Route::new(config.hash, Vec::new(), &members)],
            backups: Route::of_backups(config.hash, &members),
            members: (0..members.len()).collect(),
        }
    }

    /// The list is this one from now on, of servers with these ids.
    pub fn follow(&mut self, config: &Config, ids: &[ServerId]) {
        let members: Vec<_> = ids.iter().copied().zip(&config.servers).collect();
        for route in &mut self.subsets {
            *route = Route::new(config.hash, std::mem::take(&mut route.made_of), &members);
        }
        self.backups = Route::of_backups(config.hash, &members);
        self.members = ids.to_vec();
    }

    /// The subset of these servers of the list, without the backups among them. Their order does not matter: the list has one,
    /// so that the same servers are always the same subset.
    pub fn subset(&mut self, config: &Config, mut ids: Vec<ServerId>) -> Result<Subset, SubsetError> {
        ids.sort_unstable();
        if ids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(SubsetError::Servers);
        }
        ids.retain(|id| !self.backups.servers.contains(id));
        if ids.is_empty() {
            return Err(SubsetError::Servers);
        }
        if self.subsets.first().is_some_and(|all| all.servers.len() == ids.len()) {
            return Ok(Subset::ALL);
        }
        if let Some(known) = self.subsets.iter().position(|route| route.made_of == ids) {
            return Ok(Subset::from_index(known));
        }
        // The first one is that of all servers.
        let subset = Subset::from_index(self.subsets.len());
        if subset.index() > MAX_SUBSETS {
            return Err(SubsetError::TooMany);
        }
        let members: Vec<_> = self.members.iter().copied().zip(&config.servers).collect();
        let route = Route::new(config.hash, ids, &members);
        self.subsets.push(route);
        Ok(subset)
    }

    /// Whether there is this subset, with or without a server in the list.
    pub fn contains(&self, subset: Subset) -> bool {
        subset.index() < self.subsets.len()
    }

    /// The servers that a subset was made of; none for that of all servers.
    pub fn made_of(&self, subset: Subset) -> &[ServerId] {
        self.subsets.get(subset.index()).map_or(&[], |route| &route.made_of)
    }

    /// The servers of a subset, in the order of the list; none if there is no such subset. Those of the list itself include
    /// the backups.
    pub fn servers(&self, subset: Subset) -> &[ServerId] {
        match subset {
            Subset::ALL => &self.members,
            subset => self.subsets.get(subset.index()).map_or(&[], |route| &route.servers),
        }
    }

    /// The key's own server among those of a subset.
    pub fn home(&self, subset: Subset, key: &Key) -> Option<ServerId> {
        self.subsets.get(subset.index())?.home(key)
    }

    /// The one of them that stands in for it.
    pub fn stand_in(&self, subset: Subset, key: &Key, live: impl Fn(ServerId) -> bool) -> Option<ServerId> {
        self.subsets.get(subset.index())?.stand_in(key, live)
    }

    /// The backup server of a key: the key's own among them, or the next live one.
    pub fn backup(&self, key: &Key, live: impl Fn(ServerId) -> bool) -> Option<ServerId> {
        self.backups.stand_in(key, live)
    }

    /// Explains a key's route among all servers, with at most so many of them. If there are backup servers, these stand in
    /// for the key's own.
    pub fn explain(&self, key: &Key, candidates: usize) -> Explanation {
        let Some(all) = self.subsets.first() else { return Explanation::default() };
        let servers = |route: &Route, most| {
            let why = route.router.explain(key.routed(), most);
            let candidates = why.candidates.iter().filter_map(|&n| route.servers.get(n).copied()).collect();
            Explanation { candidates, ..why }
        };
        if self.backups.servers.is_empty() {
            return servers(all, candidates);
        }
        let mut why = servers(all, candidates.min(1));
        why.candidates.extend(servers(&self.backups, candidates.saturating_sub(1)).candidates);
        why
    }
}
