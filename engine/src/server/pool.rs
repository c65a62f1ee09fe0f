//! The number of a server's connections.

use std::time::Duration;

use super::state::Server;
use crate::connection::{Connection, Phase};
use crate::id::ConnId;
use crate::network::{Network, Output, Timer};
use crate::shared::State;
use crate::time::Instant;

/// Lost connections are replaced within this time, if no operation needs them sooner.
const REFILL: Duration = Duration::from_millis(100);

impl Server {
    /// Whether another connection is possible, and allowed. Connections to an address that is being left count.
    fn has_room(&self) -> bool {
        let connections = self.connections.len().saturating_add(self.addresses.leaving());
        self.has_addresses() && connections < self.settings.pool.max() as usize
    }

    fn is_above_max(&self) -> bool {
        self.connections.len() > self.settings.pool.max() as usize
    }

    fn may_grow(&self) -> bool {
        self.sends() && self.has_room()
    }

    /// Whether another connection is on its way, or allowed.
    pub(super) fn may_have_another(&self) -> bool {
        self.connecting > 0 || self.may_grow()
    }

    /// Whether `waiting` operations without a connection need another one, and it may help.
    /// `alone`: the next of them needs a connection without a pending reply. `spares`: whether some leave the least loaded
    /// connection to other modules.
    pub fn wants_connection(
        &self,
        network: &Network,
        waiting: usize,
        alone: bool,
        spares: impl FnOnce() -> bool,
    ) -> bool {
        if !self.may_grow() || self.is_out_of_use() {
            return false;
        }
        if alone && self.connecting == 0 {
            return true;
        }
        let connections = &network.connections;
        let best = if spares() { self.least_loaded_but_one(connections) } else { self.least_loaded(connections) };
        let wanted = match best {
            Some((_, best)) if !best.is_bulky() && !best.is_late() && best.load() < self.settings.pipeline => {
                return false
            }
            // All are full or late. One more is opened, unless one is connecting.
            Some(_) => self.connecting == 0,
            None => self.connecting == 0 && waiting > 0,
        };
        // As many as the queue would fill.
        wanted || self.connecting.saturating_mul(self.settings.pipeline) < waiting
    }

    /// Whether the next connect has to wait, as earlier ones failed. If so, maintenance is scheduled for then.
    pub fn is_held_back(&mut self, network: &mut Network, now: Instant) -> bool {
        let retry_at = self.health.retry_at();
        if retry_at > now {
            self.maintain_at(retry_at, network);
        }
        retry_at > now
    }

    /// Opens a connection, or schedules it if there were too many connects. True if one was opened.
    pub fn open(&mut self, network: &mut Network, now: Instant) -> bool {
        let token = network.rng.u32(..);
        let address =
            if self.has_ready(&network.connections) { self.addresses.agreed() } else { self.addresses.tried() };
        if !self.has_room() {
            return false;
        }
        if let Err(at) = self.throttle.take(now) {
            if self.maintenance_at.is_none_or(|due| at < due) {
                self.counters.stats.limits.connects.bump();
            }
            self.maintain_at(at, network);
            return false;
        }
        let conn = self.connect(address, token, network, now);
        self.connections.push(conn);
        self.connecting = self.connecting.saturating_add(1);
        self.changed = true;
        true
    }

    /// Opens a connection to this address. It is not in the server's list yet.
    pub(super) fn connect(&self, address: usize, token: u32, network: &mut Network, now: Instant) -> ConnId {
        let (values, waste) = (network.spare_values.clone(), self.waste.clone());
        let connection = Connection::new(self.id, address, token, values, waste, now);
        let conn = network.connections.insert(connection);
        network.outputs.push_back(Output::Open { conn, server: self.id, address });
        network.timers.insert(now.after(self.settings.connect_timeout), Timer::Connect(conn));
        conn
    }

    /// Probes a server that is down, keeps `min` connections, closes idle ones above `smax`, and schedules the next
    /// maintenance.
    pub fn maintain(&mut self, network: &mut Network, now: Instant) {
        let missing = self.missing();
        if missing > 0 {
            match self.may_connect(now) {
                Err(later) => self.maintain_at(later, network),
                Ok(()) => drop((0..missing).all(|_| self.open(network, now))),
            }
        }
        if self.is_out_of_use() {
            self.close_unused(network);
        }
        if self.is_above_max() {
            self.close_excess(network);
        }
        self.close_expired(network, now);
        self.maybe_fail_back(network, now);
    }

    /// The number of connections to open, apart from those that operations need.
    fn missing(&self) -> usize {
        match self.health.state() {
            _ if !self.has_addresses() => 0,
            // One connection, as a probe. If there is no room for it, the next connection that ends makes some.
            State::Down if self.connections.len() < self.settings.pool.max() as usize => {
                1usize.saturating_sub(self.connecting)
            }
            State::Down | State::Disabled => 0,
            State::Live => (self.settings.pool.min() as usize).saturating_sub(self.connections.len()),
        }
    }

    /// Closes idle connections above `max`, which has become smaller. Busy ones close when they are idle.
    fn close_excess(&mut self, network: &mut Network) {
        let is_idle = |conn: &ConnId| network.connections.get(*conn).is_some_and(Connection::is_idle);
        let excess = self.connections.len().saturating_sub(self.settings.pool.max() as usize);
        let idle: Vec<_> = self.connections.iter().copied().filter(is_idle).take(excess).collect();
        idle.into_iter().for_each(|conn| self.close(conn, network));
    }

    /// Closes connections that have been idle for `ttl`, the longest idle first, while there are more than `smax`.
    fn close_expired(&mut self, network: &mut Network, now: Instant) {
        let pool = self.settings.pool;
        if pool.ttl() == 0 {
            return;
        }
        let idle = self.connections.iter().filter_map(|&conn| {
            let connection = network.connections.get(conn).filter(|c| c.is_idle())?;
            Some((connection.idle_since(), conn))
        });
        let mut idle: Vec<_> = idle.collect();
        idle.sort_unstable();
        let above_min = self.connections.len().saturating_sub(pool.min() as usize);
        let spare = idle.len().saturating_sub(pool.smax() as usize).min(above_min);
        for &(since, conn) in idle.iter().take(spare) {
            let at = since.after(Duration::from_secs(pool.ttl().into()));
            if at > now {
                return self.maintain_at(at, network);
            }
            self.close(conn, network);
        }
    }

    /// Schedules maintenance for this time, or earlier.
    pub fn maintain_at(&mut self, at: Instant, network: &mut Network) {
        if self.maintenance_at.is_none_or(|due| at < due) {
            self.maintenance_at = Some(at);
            network.timers.insert(at, Timer::Server(self.id));
        }
    }

    /// Takes the scheduled maintenance if it is due. True if it is.
    pub fn take_maintenance(&mut self, now: Instant) -> bool {
        let is_due = self.maintenance_at.is_some_and(|due| due <= now);
        if is_due {
            self.maintenance_at = None;
        }
        is_due
    }

    /// A connection ended. Connections that operations need are opened at once. A timer refills `min`: when a server
    /// restarts, all workers lose all connections at the same moment.
    pub fn refill_later(&mut self, network: &mut Network, now: Instant) {
        let at = now.after(REFILL.mul_f64(network.rng.f64()));
        self.maintain_at(at.max(self.health.retry_at()), network);
    }

    /// The connection is idle: closes it if it has to be closed. True if it was leaving, so that the server may get
    /// operations again, or the server has left the list and may have gone.
    pub fn connection_is_idle(&mut self, conn: ConnId, network: &mut Network, now: Instant) -> bool {
        let Some(connection) = network.connections.get_mut(conn) else { return false };
        connection.set_idle(now);
        if connection.is_leaving() {
            self.close(conn, network);
            self.maintain_at(now, network);
            return true;
        }
        let pool = self.settings.pool;
        if network.draining || self.is_out_of_use() {
            self.close(conn, network);
            return self.has_left();
        }
        if self.connections.len() > pool.smax() as usize {
            // `max` may have become smaller.
            if self.is_above_max() {
                self.close(conn, network);
            } else if pool.ttl() > 0 {
                self.maintain_at(now.after(Duration::from_secs(pool.ttl().into())), network);
            }
        }
        false
    }

    /// Closes an idle connection.
    pub(super) fn close(&mut self, conn: ConnId, network: &mut Network) {
        let Some(connection) = network.connections.remove(conn) else { return };
        self.detach(conn, &connection);
        network.outputs.push_back(Output::Close { conn });
    }

    /// Closes all idle connections.
    pub fn close_idle(&mut self, network: &mut Network) {
        let is_idle = |conn: &ConnId| network.connections.get(*conn).is_some_and(Connection::is_idle);
        let idle: Vec<_> = self.connections.iter().copied().filter(is_idle).collect();
        idle.into_iter().for_each(|conn| self.close(conn, network));
    }

    /// Removes a connection from the list.
    pub(super) fn detach(&mut self, conn: ConnId, connection: &Connection) {
        self.connections.retain(|&other| other != conn);
        if connection.is_leaving() {
            return self.addresses.left();
        }
        self.changed = true;
        if connection.phase() != Phase::Ready {
            self.connecting = self.connecting.saturating_sub(1);
        }
    }

    /// The worker is about to exit: idle connections close now, the others once they are idle.
    pub fn drain(&mut self, network: &mut Network) {
        self.stop_failing_back(network);
        self.close_idle(network);
    }
}
