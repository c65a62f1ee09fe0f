//! Which of its addresses a server is asked at.
//!
//! **The rule.** A name with several addresses is one server, and a worker asks it at one address at a time: the first
//! one that works, in the order of the addresses. All connections go there, and all clients that share memory agree on
//! it; without one each finds it by itself, in the same order. An address is left when no connection to it works any
//! more. As long as a later one is asked, earlier ones are tried from time to time, by one client for all, and asked
//! again as soon as they work. What was sent to an address is answered, or given up after `memcache_timeout`, before
//! anything is sent to another one: nobody knows whether both are the same memcached. Connections that are being given up
//! count for `max`; the one that tries an earlier address comes on top of it.

use super::pick::usable;
use super::state::Server;
use crate::connection::Phase;
use crate::id::ConnId;
use crate::network::{Event, Network, Output, Timer};
use crate::shared::State;
use crate::time::Instant;

/// What the arrival of a connection at its address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The server is asked there.
    Here,
    /// It is asked elsewhere, and the connection has been closed.
    Closed,
    /// Others have moved meanwhile.
    Overtaken,
}

impl Server {
    /// Connects to the next address of the server, if none works and there is one that has not been tried. True if so.
    pub(super) fn try_next_address(&mut self, network: &mut Network, now: Instant) -> bool {
        let is_disabled = self.health.state() == State::Disabled;
        if is_disabled || !self.connections.is_empty() || !self.addresses.next(self.settings.address_count) {
            return false;
        }
        self.open(network, now);
        true
    }

    /// Whether others ask it elsewhere.
    #[inline]
    pub fn is_elsewhere(&self) -> bool {
        self.shared_health.address() != self.addresses.agreed()
    }

    /// Goes where the others have gone. True if it did.
    pub fn follow_others(&mut self, network: &mut Network, now: Instant) -> bool {
        let address = self.shared_health.address();
        let is_known = address < self.settings.address_count;
        if is_known {
            self.move_to(address, network, now);
        }
        is_known
    }

    /// A connection has passed its greeting: it is one of those that operations may go to.
    pub fn arrived(&mut self, conn: ConnId) {
        if self.addresses.trial() == Some(conn) {
            self.addresses.end_trial();
            self.connections.push(conn);
            self.give_lease_back();
        } else {
            self.connecting = self.connecting.saturating_sub(1);
        }
    }

    /// It has, and where others are is known: decides where the server is asked from now on.
    pub fn settle(&mut self, conn: ConnId, network: &mut Network, now: Instant) -> Arrival {
        let Some(address) = network.connections.get(conn).map(|connection| connection.address) else {
            return Arrival::Closed;
        };
        let agreed = self.addresses.agreed();
        let mut others = self.connections.iter().filter(|&&other| other != conn);
        if address > agreed && others.any(|&other| usable(&network.connections, other).is_some()) {
            self.close(conn, network);
            return Arrival::Closed;
        }
        if address != agreed {
            if !self.shared_health.move_address(agreed, address) {
                return Arrival::Overtaken;
            }
            self.move_to(address, network, now);
            network.outputs.push_back(Output::Event(Event::AddressChanged { server: self.id, address }));
        }
        self.addresses.works(address);
        Arrival::Here
    }

    /// From now on the server is asked at this address, and nowhere else.
    fn move_to(&mut self, address: usize, network: &mut Network, now: Instant) {
        let trial_at = now.after(self.trial_pause(0, network));
        self.addresses.move_to(address, trial_at);
        self.latest = None;
        self.known.forget();
        self.changed = true;
        self.stop_failing_back(network);
        for conn in self.connections.clone() {
            let Some(connection) = network.connections.get_mut(conn).filter(|c| c.address != address) else { continue };
            if connection.phase != Phase::Ready || connection.is_idle() {
                self.close(conn, network);
                continue;
            }
            connection.leaving = true;
            network.timers.insert(now.after(self.settings.timeout), Timer::Leave(conn));
            self.connections.retain(|&other| other != conn);
            self.addresses.leave();
        }
        if address > 0 {
            self.maintain_at(trial_at, network);
        }
    }
}
