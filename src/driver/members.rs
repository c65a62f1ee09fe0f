//! The servers of the list, which may change while the client runs.

#![forbid(unsafe_code)]

use std::rc::Rc;

use memcache_engine::ServerId;

use super::server::Server;
use super::{Driver, State};
use crate::nginx::address::Addresses;

impl Driver {
    /// Does what the operator wants by now.
    pub fn follow_switches(&self) {
        let now = self.now();
        if self.with(|client| client.follow_switches(now)).is_some() && self.state.get() != State::Ended {
            self.turn.post();
        }
    }

    /// The socket addresses of a server.
    pub fn addresses(&self, server: ServerId) -> Option<Addresses> {
        self.server(server).map(|server| server.addresses())
    }

    pub(super) fn server(&self, id: ServerId) -> Option<Rc<Server>> {
        self.servers.try_borrow().ok()?.get(id)?.clone()
    }

    /// All servers, also those that have left the list and still have answers to come.
    pub(super) fn all_servers(&self) -> Vec<(ServerId, Rc<Server>)> {
        let Ok(servers) = self.servers.try_borrow() else { return Vec::new() };
        servers.iter().enumerate().filter_map(|(id, server)| Some((id, server.clone()?))).collect()
    }

    /// The server has left the list, and its last connection is closed.
    pub(super) fn forget(&self, id: ServerId) {
        let Ok(mut servers) = self.servers.try_borrow_mut() else { return };
        let server = servers.get_mut(id).and_then(Option::take);
        drop(servers);
        drop(server);
    }
}
