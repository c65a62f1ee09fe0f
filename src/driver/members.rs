//! The servers of the list, which may change while the client runs.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::rc::{Rc, Weak};

use bytes::Bytes;
use memcache_engine::{MembershipError, ServerConfig, ServerId, ServerMemory, Subset};

use super::host::Host;
use super::server::Server;
use super::{Driver, List, State};
use crate::nginx::address::Addresses;

/// A server of a list.
pub struct Member {
    /// Its configuration.
    pub config: ServerConfig,
    /// Where it is.
    pub host: Host,
    /// Its memory, if it is new or returns.
    pub memory: ServerMemory,
}

impl Driver {
    /// Does what the operator wants by now.
    pub fn follow_switches(&self) {
        let now = self.now();
        if self.with(|client| client.follow_switches(now)).is_some() && self.state.get() != State::Ended {
            self.turn.post();
        }
    }

    /// The list changes by itself from now on.
    pub fn follow(&self, list: Weak<dyn List>) {
        // A client has one list.
        let _ = self.list.set(list);
        self.look_at_list();
    }

    /// Takes over another list, if there is one.
    pub fn look_at_list(&self) {
        if let Some(list) = self.list.get().and_then(Weak::upgrade).filter(|list| list.is_new()) {
            list.give(self);
        }
    }

    /// Takes over another list of servers. `None`: not now.
    pub fn set_servers(&self, version: u64, list: Vec<Member>) -> Option<Result<(), MembershipError>> {
        if self.state.get() == State::Ended {
            return None;
        }
        let now = self.now();
        // An id in an output is one of the former list.
        self.carry_out(now);
        let configs: Vec<_> = list.iter().map(|member| member.config.clone()).collect();
        let mut memory: HashMap<Bytes, ServerMemory> = HashMap::new();
        let mut hosts = Vec::with_capacity(list.len());
        for member in list {
            memory.insert(member.config.name, member.memory);
            hosts.push(member.host);
        }
        let mut client = self.client.try_borrow_mut().ok()?;
        let of = |_: ServerId, config: &ServerConfig| memory.remove(&config.name).unwrap_or_default();
        if let Err(wrong) = client.set_servers(version, configs.clone(), of, now) {
            return Some(Err(wrong));
        }
        let ids = client.servers_of(Subset::ALL).to_vec();
        drop(client);
        for (id, (config, host)) in ids.into_iter().zip(configs.into_iter().zip(hosts)) {
            match self.server(id).filter(|server| server.name == config.name) {
                Some(server) if host.followed.is_none() => self.move_server(id, &server, host.addresses),
                Some(_) => {}
                None => self.begin_server(id, config.name, &host),
            }
        }
        self.turn.post();
        Some(Ok(()))
    }

    fn begin_server(&self, id: ServerId, name: Bytes, host: &Host) {
        let server = Server::new(name, String::new(), host, self.tls.as_ref());
        // Counts from before this client are not logged.
        server.log_state.errors.set(self.errors_of(id).unwrap_or_default());
        let Ok(mut servers) = self.servers.try_borrow_mut() else { return };
        if servers.len() <= id {
            servers.resize(id.saturating_add(1), None);
        }
        if let Some(place) = servers.get_mut(id) {
            *place = Some(Rc::new(server));
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
