//! How a server leaves the list of its client, and returns.
//!
//! One that leaves gets no operation, probe or connection any more. What was sent is answered; connections close when they are
//! idle. When the last one is closed, the server has gone. One that returns before continues where it was.

use super::settings::Settings;
use super::state::Server;
use crate::connection::Phase;
use crate::id::ConnId;
use crate::network::Network;

impl Server {
    /// Whether it has left the list.
    #[inline]
    pub fn has_left(&self) -> bool {
        self.health.is_away()
    }

    /// It leaves the list. Its queue is the caller's business.
    pub fn leave(&mut self, network: &mut Network) {
        self.health.set_away(true);
        self.close_unused(network);
    }

    /// It gets nothing more: all connections close on which nothing is under way.
    pub(super) fn close_unused(&mut self, network: &mut Network) {
        self.stop_failing_back(network);
        self.give_lease_back();
        let is_unused =
            |conn: &ConnId| network.connections.get(*conn).is_some_and(|c| c.phase() != Phase::Ready || c.is_idle());
        let unused: Vec<_> = self.connections.iter().copied().filter(is_unused).collect();
        unused.into_iter().for_each(|conn| self.close(conn, network));
    }

    /// It is in the list again.
    pub fn come_back(&mut self) {
        self.health.set_away(false);
        // Its timer may have been dropped.
        self.maintenance_at = None;
        self.changed = true;
    }

    /// Whether it has left the list, and has no connection any more.
    pub fn is_over(&self) -> bool {
        self.has_left() && self.connections.is_empty() && self.addresses.elsewhere() == 0
    }

    /// Its configuration has changed, apart from its addresses.
    pub fn configure(&mut self, settings: Settings) {
        let address_count = self.settings.address_count;
        self.settings = settings;
        self.settings.address_count = address_count;
        self.changed = true;
    }
}
