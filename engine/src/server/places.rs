//! The places of a client's servers.
//!
//! A [`ServerId`] is a place, and a place belongs to one name. When its server has gone, the place stays empty, so that an
//! id of that server is refused and never means another one. A server that returns under its name gets its place again.
//!
//! Names may come and go for months, so empty places are given away in the end: one gets another name when more than
//! [`MAX_GONE`] places are empty, and the one that has been empty longest is the first.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;

use super::state::Server;
use super::throttle::Throttle;
use crate::config::ServerConfig;
use crate::id::ServerId;
use crate::limits::MAX_GONE;

/// The servers of a client, by their places.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// `None`: nothing of the server is left.
    servers: Vec<Option<Box<Server>>>,
    /// The configuration of each, also of those that have gone.
    configs: Vec<ServerConfig>,
    /// The connects of those that have gone.
    throttles: Vec<Throttle>,
    /// The empty places, the one that has been empty longest first.
    empty: VecDeque<ServerId>,
}

impl Places {
    /// The server, also one that has left the list and still has answers to come.
    #[inline(always)]
    pub fn get(&self, id: ServerId) -> Option<&Server> {
        self.servers.get(id)?.as_deref()
    }

    #[inline(always)]
    pub fn get_mut(&mut self, id: ServerId) -> Option<&mut Server> {
        self.servers.get_mut(id)?.as_deref_mut()
    }

    /// The server, if it is in the list.
    pub fn member(&self, id: ServerId) -> Option<&Server> {
        self.get(id).filter(|server| !server.has_left())
    }

    /// The server's configuration.
    pub fn config(&self, id: ServerId) -> Option<&ServerConfig> {
        self.configs.get(id)
    }

    /// The server's name; empty without one.
    pub fn name(&self, id: ServerId) -> Bytes {
        self.config(id).map(|config| config.name.clone()).unwrap_or_default()
    }

    /// The server has so many addresses.
    pub fn set_address_count(&mut self, id: ServerId, count: usize) {
        if let Some(config) = self.configs.get_mut(id) {
            config.addresses = count;
        }
    }

    /// All servers, also those that have left the list and still have answers to come.
    pub fn iter(&self) -> impl Iterator<Item = (ServerId, &Server)> {
        self.servers.iter().enumerate().filter_map(|(id, server)| Some((id, server.as_deref()?)))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Server> {
        self.servers.iter_mut().filter_map(Option::as_deref_mut)
    }

    /// The number of places up to the last one whose server is in the list.
    pub fn places(&self) -> usize {
        let is_member = |place: &Option<Box<Server>>| place.as_deref().is_some_and(|server| !server.has_left());
        self.servers.iter().rposition(is_member).map_or(0, |last| last.saturating_add(1))
    }

    /// The number of places, with a server or without.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// The number of servers that would not be in this list and still have answers to come.
    pub fn leaving(&self, list: &[ServerConfig]) -> usize {
        let names: HashSet<&Bytes> = list.iter().map(|config| &config.name).collect();
        let is_other = |id: &ServerId| self.configs.get(*id).is_some_and(|config| !names.contains(&config.name));
        self.iter().map(|(id, _)| id).filter(is_other).count()
    }

    /// Whether a place is among these.
    pub fn is_in(&self, ids: &[ServerId]) -> impl Fn(ServerId) -> bool {
        let mut listed = vec![false; self.len()];
        for &id in ids {
            if let Some(listed) = listed.get_mut(id) {
                *listed = true;
            }
        }
        move |id| listed.get(id) == Some(&true)
    }

    /// The places of these servers, whose names are different. A server that is here keeps its place, and its name's bytes
    /// in memory.
    pub fn take(&mut self, list: Vec<ServerConfig>) -> Vec<ServerId> {
        let mut known: HashMap<Bytes, ServerId> =
            self.configs.iter().enumerate().map(|(id, config)| (config.name.clone(), id)).collect();
        // Places of the list are not given away.
        let listed: Vec<Option<ServerId>> = list.iter().map(|config| known.remove(&config.name)).collect();
        let returns = self.is_in(&listed.iter().flatten().copied().collect::<Vec<_>>());
        self.empty.retain(|&id| !returns(id));
        listed.into_iter().zip(list).map(|(id, config)| self.take_one(id, config)).collect()
    }

    fn take_one(&mut self, id: Option<ServerId>, config: ServerConfig) -> ServerId {
        if let Some((id, known)) = id.and_then(|id| Some((id, self.configs.get_mut(id)?))) {
            let is_here = self.servers.get(id).is_some_and(Option::is_some);
            let addresses = if is_here { known.addresses } else { config.addresses };
            *known = ServerConfig { name: known.name.clone(), addresses, ..config };
            return id;
        }
        let reused = if self.empty.len() > MAX_GONE { self.empty.pop_front() } else { None };
        if let Some((id, place)) = reused.and_then(|id| Some((id, self.configs.get_mut(id)?))) {
            *place = config;
            if let Some(throttle) = self.throttles.get_mut(id) {
                *throttle = Throttle::default();
            }
            return id;
        }
        self.servers.push(None);
        self.configs.push(config);
        self.servers.len().saturating_sub(1)
    }

    /// A server of the first list, at the next place.
    pub fn add(&mut self, config: ServerConfig, server: Server) {
        self.configs.push(config);
        self.servers.push(Some(Box::new(server)));
    }

    /// The server begins at its place. It may return after a short time, so the rate of its connects is still bounded.
    pub fn begin(&mut self, id: ServerId, mut server: Server) {
        if let Some(place) = self.servers.get_mut(id) {
            server.throttle = self.throttles.get_mut(id).map(std::mem::take).unwrap_or_default();
            *place = Some(Box::new(server));
        }
    }

    /// The server has gone: its place is empty from now on.
    pub fn vacate(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get_mut(id).and_then(Option::take) {
            if self.throttles.len() <= id {
                self.throttles.resize_with(self.servers.len(), Throttle::default);
            }
            if let Some(throttle) = self.throttles.get_mut(id) {
                *throttle = server.throttle;
            }
            self.empty.push_back(id);
        }
    }
}
