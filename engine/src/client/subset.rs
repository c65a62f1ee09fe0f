//! Subsets of servers.

use super::state::Client;
use crate::config::Failover;
use crate::id::ServerId;
use crate::limits::MAX_CANDIDATES;
use crate::operation::error::Error;
use crate::operation::key::{Key, KeyError};
use crate::route::subset::{Subset, SubsetError};
use crate::route::Explanation;
use crate::server::Server;

impl<T> Client<T> {
    /// A part of a subset, given by indices of its servers. Their order does not matter: the order of the configuration
    /// counts, so the same servers are always the same subset.
    pub fn subset(&mut self, of: Subset, servers: &[usize]) -> Result<Subset, SubsetError> {
        self.routes.subset(&self.config, of, servers)
    }

    /// The servers of a subset, in the order of the configuration; none if there is no such subset.
    pub fn servers_of(&self, subset: Subset) -> &[ServerId] {
        self.routes.servers(subset)
    }

    /// The server of this key, up or not.
    pub fn server_of(&self, key: &[u8]) -> Result<ServerId, Error> {
        self.server_within(Subset::ALL, key)
    }

    /// The server of this key within a subset.
    pub fn server_within(&self, subset: Subset, key: &[u8]) -> Result<ServerId, Error> {
        let key = self.config.keys.key(key, Vec::new())?;
        self.home(subset, &key).ok_or(Error::NoSuchServer)
    }

    /// How this key is routed, with up to [`MAX_CANDIDATES`] servers, and the server that is asked now; `None`:
    /// operations on it fail at once.
    pub fn explain(&self, key: &[u8]) -> Result<(Explanation, Option<ServerId>), KeyError> {
        let key = self.config.keys.key(key, Vec::new())?;
        let explanation = self.routes.explain(&key, MAX_CANDIDATES);
        let home = self.home(Subset::ALL, &key);
        let server = home.map(|home| self.stand_in(Subset::ALL, home, &key).unwrap_or(home));
        let asked = server.filter(|&id| self.servers.get(id).is_some_and(Server::is_live));
        Ok((explanation, asked))
    }

    pub(super) fn home(&self, subset: Subset, key: &Key) -> Option<ServerId> {
        self.routes.home(subset, key)
    }

    /// The stand-in of this server in the subset, if the server is down and the configuration allows failover.
    pub(super) fn stand_in(&self, subset: Subset, home: ServerId, key: &Key) -> Option<ServerId> {
        let live = |id: ServerId| self.servers.get(id).is_some_and(Server::is_live);
        if self.config.failover == Failover::Off || live(home) {
            return None;
        }
        self.routes.stand_in(subset, key, live)
    }
}
