//! Which servers an operation goes to.

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
    /// A subset of a subset's servers, given by their places in it. Their order does not matter: they are routed to in
    /// the order of the configuration, so that the same servers are always the same subset.
    pub fn subset(&mut self, of: Subset, servers: &[usize]) -> Result<Subset, SubsetError> {
        self.routes.subset(&self.config, of, servers)
    }

    /// The servers of a subset, in the order of the configuration; none if there is no such subset.
    pub fn servers_of(&self, subset: Subset) -> &[ServerId] {
        self.routes.servers(subset)
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
        let explanation = self.routes.explain(&key, MAX_CANDIDATES);
        let home = self.home(Subset::ALL, &key);
        let server = home.map(|home| self.stand_in(Subset::ALL, home, &key).unwrap_or(home));
        let asked = server.filter(|&id| self.servers.get(id).is_some_and(Server::is_live));
        Ok((explanation, asked))
    }

    pub(super) fn home(&self, subset: Subset, key: &Key) -> Option<ServerId> {
        self.routes.home(subset, key)
    }

    /// The server of the subset that stands in for this one, if that is down and the configuration wants it.
    pub(super) fn stand_in(&self, subset: Subset, home: ServerId, key: &Key) -> Option<ServerId> {
        let live = |id: ServerId| self.servers.get(id).is_some_and(Server::is_live);
        if self.config.failover == Failover::Off || live(home) {
            return None;
        }
        self.routes.stand_in(subset, key, live)
    }
}
