//! The list of servers, which may change at any time.

use super::state::Client;
use crate::config::{MembershipError, ServerConfig};
use crate::id::ServerId;
use crate::limits::{MAX_ADDRESSES, MAX_LEAVING};
use crate::network::Output;
use crate::route::subset::Subset;
use crate::server::{Server, ServerMemory, Settings};
use crate::time::Instant;

impl<T> Client<T> {
    /// Takes over another list of servers, with the version that the caller gives it. If it cannot be used, the client
    /// keeps the one that it has.
    ///
    /// - A server that stays, by its name, keeps its id, connections, health and statistics. Its weight and the numbers of
    ///   its pool apply from now on. Its addresses stay: see [`set_addresses`](Client::set_addresses).
    /// - A new one begins as at the start. `memory` is asked for its memory.
    /// - One that is not in the list any more leaves. Operations that wait for it, of which nothing was sent, are routed by
    ///   the new list, in their order; those on the server itself end with [`NoSuchServer`](crate::Error::NoSuchServer).
    ///   What was sent is answered, or ends as its connection does. [`Output::Gone`] reports the end of its last connection.
    ///   If it returns before, it continues where it was.
    pub fn set_servers(
        &mut self,
        version: u64,
        list: Vec<ServerConfig>,
        mut memory: impl FnMut(ServerId, &ServerConfig) -> ServerMemory,
        now: Instant,
    ) -> Result<(), MembershipError> {
        MembershipError::check(self.config.hash, &list)?;
        let leaving = self.servers.leaving(&list);
        if leaving > MAX_LEAVING {
            return Err(MembershipError::Leaving(leaving));
        }
        let before = self.servers_of(Subset::ALL).to_vec();
        let ids = self.servers.take(list);
        self.config.servers = ids.iter().filter_map(|&id| self.servers.config(id).cloned()).collect();
        for (&id, config) in ids.iter().zip(&self.config.servers) {
            let settings = Settings::new(&self.config, config);
            match self.servers.get_mut(id) {
                Some(server) => {
                    server.configure(settings);
                    if server.has_left() {
                        server.come_back();
                    }
                }
                None => {
                    let server = Server::new(id, settings, memory(id, config), self.process, now);
                    self.servers.begin(id, server);
                }
            }
        }
        self.routes.follow(&self.config, &ids);
        self.version = version;
        let is_listed = self.servers.is_in(&ids);
        let left: Vec<ServerId> = before.into_iter().filter(|&id| !is_listed(id)).collect();
        for &id in &left {
            if let Some(server) = self.servers.get_mut(id) {
                server.leave(&mut self.network);
            }
        }
        for id in left {
            self.route_queue_anew(id, now);
            self.forget_if_over(id, now);
        }
        for id in ids {
            self.maintain(id, now);
        }
        self.watch_switches(now);
        Ok(())
    }

    /// The name of a server could not be resolved. A server that has addresses keeps them. One that has none is down from now on,
    /// as if a connect had been refused, and is asked again when [`set_addresses`](Client::set_addresses) gives it some.
    pub fn unresolved(&mut self, id: ServerId, now: Instant) {
        let server = self.servers.get_mut(id);
        if server.is_some_and(|server| server.unresolved(&mut self.network, now)) {
            self.went_down(id, now);
        }
    }

    /// Takes over another list of addresses of a server, for instance as its name resolves to others. There is one entry for
    /// each address: its number in the former list, or `None` if it was not there. New connections go to the new
    /// addresses at once; connections to an address that is in both lists stay, the others finish what is under way. `list`
    /// stands for the addresses: it is the same for all clients that have the same ones in the same order, so that they can
    /// agree on one of them. False: there is no such server in the list, or the new list is empty or has more than
    /// [`MAX_ADDRESSES`](crate::limits::MAX_ADDRESSES); the server keeps the one that it has.
    ///
    /// As after every input, all outputs are pulled before: an [`Output::Open`] has a number of the former list.
    pub fn set_addresses(&mut self, id: ServerId, list: u64, former: &[Option<usize>], now: Instant) -> bool {
        let is_usable = (1..=MAX_ADDRESSES).contains(&former.len());
        let Some(server) = self.servers.get_mut(id).filter(|server| !server.has_left() && is_usable) else {
            return false;
        };
        server.set_addresses(list, former, &mut self.network, now);
        self.servers.set_address_count(id, former.len());
        let place = self.servers_of(Subset::ALL).iter().position(|&other| other == id);
        if let Some(config) = place.and_then(|place| self.config.servers.get_mut(place)) {
            config.addresses = former.len();
        }
        self.maintain(id, now);
        true
    }

    /// The version of the list; 0: that of the configuration.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Forgets a server that has left the list, if its last connection is closed.
    pub(super) fn forget_if_over(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get(id).filter(|server| server.is_over()) else { return };
        if let Some(config) = self.servers.config(id) {
            server.view(config, &self.network.connections).publish(now);
        }
        self.servers.vacate(id);
        self.network.outputs.push_back(Output::Gone { server: id });
    }
}
