//! Subsets of servers.

use super::state::Client;
use crate::config::Failover;
use crate::id::ServerId;
use crate::limits::MAX_CANDIDATES;
use crate::operation::error::Error;
use crate::operation::key::{Key, KeyError};
use crate::operation::request::Verb;
use crate::operation::work::Work;
use crate::route::subset::{Subset, SubsetError};
use crate::route::Explanation;
use crate::server::Server;

impl<T> Client<T> {
    /// A part of a subset, given by [places](Client::server_at) in it. Their order does not matter: the order of the list
    /// counts, so the same servers are always the same subset.
    pub fn subset(&mut self, of: Subset, places: &[usize]) -> Result<Subset, SubsetError> {
        let ids = places.iter().map(|&place| self.server_at(of, place)).collect::<Option<Vec<ServerId>>>();
        self.routes.subset(&self.config, ids.ok_or(SubsetError::Servers)?)
    }

    /// The number of places of a subset, which are numbered from 0. There is one for each server that the subset was made
    /// of, and its number stays the same while the list changes. That of all servers has a place for each
    /// [id](ServerId), and more of them after servers have joined the list.
    pub fn places(&self, subset: Subset) -> usize {
        match subset {
            Subset::ALL => self.servers.places(),
            subset => self.routes.made_of(subset).len(),
        }
    }

    /// The server at this place of a subset; `None`: there is no such place, or its server is not in the list.
    pub fn server_at(&self, subset: Subset, place: usize) -> Option<ServerId> {
        let id = match subset {
            Subset::ALL => Some(place),
            subset => self.routes.made_of(subset).get(place).copied(),
        };
        id.filter(|&id| self.servers.member(id).is_some())
    }

    /// The place of this server in a subset.
    pub fn place_of(&self, subset: Subset, id: ServerId) -> Option<usize> {
        match subset {
            Subset::ALL => Some(id),
            subset => self.routes.made_of(subset).binary_search(&id).ok(),
        }
    }

    /// The servers of a subset that are in the list, in the order of the list; none if there is no such subset.
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
        self.home(subset, &key).ok_or_else(|| self.without_server(subset))
    }

    /// How this key is routed, with up to [`MAX_CANDIDATES`] servers, and the server that is asked now; `None`:
    /// operations on it fail at once. A key that this server is known not to take is an error.
    pub fn explain(&self, key: &[u8]) -> Result<(Explanation, Option<ServerId>), KeyError> {
        let key = self.config.keys.key(key, Vec::new())?;
        let explanation = self.routes.explain(&key, MAX_CANDIDATES);
        let home = self.home(Subset::ALL, &key);
        let server = home.map(|home| self.stand_in(Subset::ALL, home, &key).unwrap_or(home));
        let asked = server.filter(|&id| self.servers.get(id).is_some_and(Server::is_live));
        let read = Work::Keyed(Verb::Get { touch: None });
        let refuses = asked.and_then(|id| self.servers.get(id)).filter(|server| !server.supports(Some(&key), &read));
        let why = asked.zip(refuses).and_then(|(id, server)| {
            match server.cannot(&self.servers.name(id), Some(&key), &read) {
                Error::InvalidKey(why) => Some(why),
                _ => None,
            }
        });
        if let Some(why) = why {
            return Err(why);
        }
        Ok((explanation, asked))
    }

    /// Why a key has no server in this subset.
    pub(super) fn without_server(&self, subset: Subset) -> Error {
        // All that it was made of have left the list. They may return.
        if self.routes.contains(subset) && self.routes.servers(subset).is_empty() {
            Error::ServerDown
        } else {
            Error::NoSuchServer
        }
    }

    pub(super) fn home(&self, subset: Subset, key: &Key) -> Option<ServerId> {
        self.routes.home(subset, key)
    }

    /// The server that is asked instead of this one, if it is down, the configuration allows failover, and there is a live one.
    ///
    /// This one may be a stand-in itself. Then the key's own server is asked if it is live again.
    pub(super) fn stand_in(&self, subset: Subset, server: ServerId, key: &Key) -> Option<ServerId> {
        let live = |id: ServerId| self.servers.get(id).is_some_and(Server::is_live);
        if self.config.failover == Failover::Off || live(server) {
            return None;
        }
        self.stand_in_where(subset, key, live)
    }

    /// The key's own server, or the first that stands in for it, for which this holds.
    pub(super) fn stand_in_where(
        &self,
        subset: Subset,
        key: &Key,
        holds: impl Fn(ServerId) -> bool,
    ) -> Option<ServerId> {
        match self.config.failover {
            Failover::Off => None,
            Failover::Next => self.routes.stand_in(subset, key, holds),
            Failover::Backup => {
                self.home(subset, key).filter(|&home| holds(home)).or_else(|| self.routes.backup(key, holds))
            }
        }
    }
}
