//! Which of its addresses a server is asked at.
//!
//! **The rule.** A name with several addresses is one server, and a worker asks it at one address at a time: the first
//! one that works, in the order of the addresses. All connections go there, and all clients that share memory agree on
//! it; without one each finds it by itself, in the same order. An address is left when no connection to it works any
//! more. As long as a later one is asked, earlier ones are looked at from time to time, by one client for all, and asked
//! again as soon as they work. What was sent to an address is answered, or given up after `memcache_timeout`, before
//! anything is sent to another one: nobody knows whether both are the same memcached. Connections that are being given up
//! count for `max`; the one that looks comes on top of it.

use std::time::Duration;

use bytes::Bytes;

use super::state::Client;
use crate::connection::{Connection, Phase};
use crate::id::{ConnId, ServerId};
use crate::network::{Event, Output, Timer};
use crate::shared::State;
use crate::time::Instant;

/// The longest pause between two looks, unless `memcache_retry` is longer.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The pause doubles so many times at most.
const MAX_DOUBLINGS: u32 = 6;
/// What a client that looks may be late by.
const SLACK: Duration = Duration::from_secs(1);

impl<T> Client<T> {
    fn has_ready(&self, id: ServerId) -> bool {
        let ready = |conn: &ConnId| self.network.connections.get(*conn).is_some_and(|c| c.phase == Phase::Ready);
        self.servers.get(id).is_some_and(|server| server.connections.iter().any(ready))
    }

    /// The address that a new connection goes to.
    pub(super) fn address_for(&self, id: ServerId) -> usize {
        let ready = self.has_ready(id);
        self.servers.get(id).map_or(0, |server| if ready { server.at.agreed } else { server.at.tried })
    }

    /// Connects to the next address of the server, if none works and there is one that has not been tried. True if so.
    pub(super) fn try_next_address(&mut self, id: ServerId, now: Instant) -> bool {
        let addresses = self.config.servers.get(id).map_or(1, |config| config.addresses);
        let Some(server) = self.servers.get_mut(id) else { return false };
        if server.health.state() == State::Disabled || !server.connections.is_empty() || !server.at.next(addresses) {
            return false;
        }
        self.open(id, now);
        true
    }

    /// Goes where the others have gone.
    #[inline]
    pub(super) fn follow_address(&mut self, id: ServerId, now: Instant) {
        if self.servers.get(id).is_some_and(|server| server.shared_health.address() != server.at.agreed) {
            self.follow_others(id, now);
        }
    }

    #[cold]
    fn follow_others(&mut self, id: ServerId, now: Instant) {
        let addresses = self.config.servers.get(id).map_or(1, |config| config.addresses);
        let Some(address) = self.servers.get(id).map(|server| server.shared_health.address()) else { return };
        if address < addresses {
            self.move_to(id, address, now);
            self.maintain(id, now);
        }
    }

    /// A connection has passed its greeting: decides where the server is asked from now on. False: not there, and the
    /// connection has been closed.
    pub(super) fn arrive(&mut self, conn: ConnId, id: ServerId, now: Instant) -> bool {
        let Some(address) = self.network.connections.get(conn).map(|connection| connection.address) else {
            return false;
        };
        let Some(server) = self.servers.get_mut(id) else { return false };
        if server.at.scout == Some(conn) {
            server.at.scout = None;
            server.connections.push(conn);
            self.give_lease_back(id);
        } else {
            server.connecting = server.connecting.saturating_sub(1);
        }
        self.follow_address(id, now);
        let Some(agreed) = self.servers.get(id).map(|server| server.at.agreed) else { return false };
        let others = || self.servers.get(id).into_iter().flat_map(|server| &server.connections);
        let is_ready = |other: &ConnId| self.network.connections.get(*other).is_some_and(|c| c.phase == Phase::Ready);
        let others_work = others().any(|other| *other != conn && is_ready(other));
        if !self.network.connections.contains_key(conn) {
            return false;
        }
        if address > agreed && others_work {
            self.close_connection(conn);
            return false;
        }
        if address != agreed {
            let moved = self.servers.get(id).is_some_and(|server| server.shared_health.move_address(agreed, address));
            if !moved {
                self.follow_address(id, now);
                return self.network.connections.contains_key(conn);
            }
            self.move_to(id, address, now);
            self.network.outputs.push_back(Output::Event(Event::AddressChanged { server: id, address }));
        }
        if let Some(server) = self.servers.get_mut(id) {
            server.at.tried = address;
            server.at.vain = 0;
        }
        true
    }

    /// From now on the server is asked at this address, and nowhere else.
    fn move_to(&mut self, id: ServerId, address: usize, now: Instant) {
        let pause = self.look_pause(0);
        let Some(server) = self.servers.get_mut(id) else { return };
        server.at.agreed = address;
        server.at.tried = address;
        server.at.vain = 0;
        server.at.looks = 0;
        server.at.look_at = now.after(pause);
        server.latest = None;
        server.passed = Bytes::new();
        server.touched = true;
        let due = server.at.look_at;
        let others = server.connections.clone();
        self.recall_scout(id);
        for conn in others {
            let Some(connection) = self.network.connections.get_mut(conn).filter(|c| c.address != address) else {
                continue;
            };
            if connection.phase != Phase::Ready || connection.is_idle() {
                self.close_connection(conn);
                continue;
            }
            connection.leaving = true;
            self.network.timers.insert(now.after(self.config.timeout), Timer::Leave(conn));
            if let Some(server) = self.servers.get_mut(id) {
                server.connections.retain(|&other| other != conn);
                server.at.leaving = server.at.leaving.saturating_add(1);
            }
        }
        if address > 0 {
            self.maintain_at(id, due);
        }
    }

    /// Nobody looks whether an earlier address works any more.
    pub(super) fn recall_scout(&mut self, id: ServerId) {
        let Some(scout) = self.servers.get_mut(id).and_then(|server| server.at.scout.take()) else { return };
        drop(self.network.connections.remove(scout));
        self.network.outputs.push_back(Output::Close { conn: scout });
        self.give_lease_back(id);
    }

    fn look_pause(&mut self, looks: u32) -> Duration {
        let retry = self.config.retry;
        let factor = 1u32.checked_shl(looks.min(MAX_DOUBLINGS)).unwrap_or(1);
        let pause = retry.saturating_mul(factor).min(MAX_PAUSE.max(retry));
        pause.saturating_add(pause.mul_f64(self.network.rng.f64() / 4.0))
    }

    /// Looks whether an earlier address works, if it is time to.
    pub(super) fn look(&mut self, id: ServerId, now: Instant) {
        let who = self.who;
        let Some(server) = self.servers.get(id).filter(|server| server.at.agreed > 0 && server.at.scout.is_none())
        else {
            return;
        };
        if self.network.draining || !server.is_live() || !self.has_ready(id) {
            return;
        }
        if server.at.is_moving() {
            return self.maintain_at(id, now.after(self.config.timeout));
        }
        let due = server.at.look_at.max(server.shared_health.look_at(now));
        if due > now {
            return self.maintain_at(id, due);
        }
        let addresses = u32::try_from(server.at.agreed).unwrap_or(u32::MAX);
        let time = self.config.connect_timeout.saturating_mul(addresses).saturating_add(SLACK);
        match server.shared_health.lease(who, time, now) {
            Ok(()) => self.send_scout(id, 0, now),
            Err(until) => self.maintain_at(id, until),
        }
    }

    fn send_scout(&mut self, id: ServerId, address: usize, now: Instant) {
        let token = self.network.rng.u32(..);
        let Some(server) = self.servers.get_mut(id) else { return };
        if let Err(at) = server.connects.take(now) {
            server.at.look_at = at;
            self.give_lease_back(id);
            return self.maintain_at(id, at);
        }
        let mut connection = Connection::new(id, token, self.network.spare_values.clone(), server.waste.clone(), now);
        connection.address = address;
        let conn = self.network.connections.insert(connection);
        server.at.scout = Some(conn);
        self.network.outputs.push_back(Output::Open { conn, server: id, address });
        self.network.timers.insert(now.after(self.config.connect_timeout), Timer::Connect(conn));
    }

    /// If this is the connection that looks: it has found that the address does not work. True if so.
    pub(super) fn scout_failed(&mut self, conn: ConnId, id: ServerId, address: usize, now: Instant) -> bool {
        let Some(server) = self.servers.get_mut(id).filter(|server| server.at.scout == Some(conn)) else {
            return false;
        };
        server.at.scout = None;
        let next = address.saturating_add(1);
        if next < server.at.agreed && server.is_live() && !self.network.draining {
            self.send_scout(id, next, now);
            return true;
        }
        let looks = server.at.looks.saturating_add(1);
        server.at.looks = looks;
        let due = now.after(self.look_pause(looks));
        if let Some(server) = self.servers.get_mut(id) {
            server.at.look_at = due;
            server.shared_health.look_later(due);
        }
        self.give_lease_back(id);
        self.maintain_at(id, due);
        true
    }
}
