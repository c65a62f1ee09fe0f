//! The choice of a server's address.
//!
//! **The rule.** A name with several addresses is one server, and a worker uses one address at a time: the first one
//! that works, in the order of the addresses. All connections go there, and all clients that share memory agree on it.
//! Without shared memory, each client finds it by itself, in the same order. The clients leave an address when no
//! connection to it works any more. While a later address is in use, one client tries the earlier ones from time to
//! time, and all return to them once they work. Requests to one address are answered, or given up after
//! `memcache_timeout`, before any request goes to another one: the two may be different memcacheds. Connections to an
//! address that is being left count towards `max`; the one that tries an earlier address does not.

use super::pick::usable;
use super::state::Server;
use crate::connection::{Connection, Phase};
use crate::id::ConnId;
use crate::network::{Event, Network, Output, Timer};
use crate::time::Instant;

/// What a connection that is ready means for the address in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Its address is in use.
    Here,
    /// Another address is in use, and the connection was closed.
    Closed,
    /// Other clients have moved meanwhile.
    Overtaken,
}

impl Server {
    /// Connects to the next address, if none works and one is left to try. True if so.
    pub(super) fn try_next_address(&mut self, network: &mut Network, now: Instant) -> bool {
        if self.is_out_of_use() || !self.connections.is_empty() || !self.addresses.next(self.settings.address_count) {
            return false;
        }
        self.open(network, now);
        true
    }

    /// Whether other clients use another address.
    #[inline]
    pub fn is_elsewhere(&self) -> bool {
        self.shared_health.address() != self.addresses.in_use()
    }

    /// Moves to the address that other clients use, unless they have another list. True if it did.
    pub fn follow_others(&mut self, network: &mut Network, now: Instant) -> bool {
        let shared = self.shared_health.address();
        let is_known = shared.is_of(self.addresses.list()) && shared.number() < self.settings.address_count;
        if is_known {
            self.move_to(shared.number(), network, now);
        }
        is_known
    }

    /// A connection has passed its greeting: it can get operations.
    pub fn arrived(&mut self, conn: ConnId) {
        if self.addresses.trial() == Some(conn) {
            self.addresses.end_trial();
            self.connections.push(conn);
            self.give_lease_back();
        } else {
            self.connecting = self.connecting.saturating_sub(1);
        }
    }

    /// Chooses the address in use, when a connection is ready and the choice of other clients is known.
    pub fn settle(&mut self, conn: ConnId, network: &mut Network, now: Instant) -> Arrival {
        let Some(address) = network.connections.get(conn).map(|connection| connection.address()) else {
            return Arrival::Closed;
        };
        let agreed = self.addresses.agreed();
        let mut others = self.connections.iter().filter(|&&other| other != conn);
        if address > agreed && others.any(|&other| usable(&network.connections, other).is_some()) {
            self.close(conn, network);
            return Arrival::Closed;
        }
        if address != agreed {
            if !self.shared_health.move_address(self.addresses.list(), agreed, address) {
                return Arrival::Overtaken;
            }
            self.move_to(address, network, now);
            network.outputs.push_back(Output::Event(Event::AddressChanged { server: self.id, address }));
        }
        self.addresses.works(address);
        Arrival::Here
    }

    /// Moves to this address. No other one gets requests from now on.
    pub(super) fn move_to(&mut self, address: usize, network: &mut Network, now: Instant) {
        let trial_at = now.after(self.trial_pause(0, network));
        self.addresses.move_to(address, trial_at);
        self.latest = None;
        self.known.forget();
        self.changed = true;
        self.stop_failing_back(network);
        self.leave_all(|connection| connection.address() != address, network, now);
        if address > 0 {
            self.maintain_at(trial_at, network);
        }
    }

    /// These connections send nothing more, and close once they have answered.
    pub(super) fn leave_all(&mut self, which: impl Fn(&Connection) -> bool, network: &mut Network, now: Instant) {
        for conn in self.connections.clone() {
            let Some(connection) = network.connections.get_mut(conn).filter(|c| which(c)) else { continue };
            if connection.phase() != Phase::Ready || connection.is_idle() {
                self.close(conn, network);
                continue;
            }
            connection.set_leaving();
            network.timers.insert(now.after(self.settings.timeout), Timer::Leave(conn));
            self.connections.retain(|&other| other != conn);
            self.addresses.leave();
        }
    }
}
