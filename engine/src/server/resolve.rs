//! Another list of addresses for a server. The rule of [`arrive`](super::arrive) holds across the change.
//!
//! Addresses are numbered by their places in the list. So an address that is in both lists may have another number in the new
//! one: connections to it stay. Connections to others close, or send nothing more and close once they have answered.

use super::state::Server;
use crate::network::Network;
use crate::time::Instant;

/// The number of an address that is not in the list any more.
const NONE: usize = usize::MAX;

impl Server {
    /// The list has these addresses from now on: for each its number in the former list, if it was there.
    pub fn set_addresses(&mut self, former: &[Option<usize>], network: &mut Network, now: Instant) {
        let renumbered = |old: usize| former.iter().position(|&number| number == Some(old));
        self.stop_failing_back(network);
        self.settings.address_count = former.len();
        for &conn in &self.connections {
            if let Some(connection) = network.connections.get_mut(conn) {
                connection.set_address(renumbered(connection.address()).unwrap_or(NONE));
            }
        }
        let before = self.addresses.agreed();
        let after = renumbered(before);
        self.addresses.renumber(after.unwrap_or(NONE), after.unwrap_or(0));
        // Another client may have been faster.
        self.shared_health.move_address(before, after.unwrap_or(0));
        match after {
            // The first address may be a new one, and is tried.
            Some(_) => self.leave_all(|connection| connection.address() == NONE, network, now),
            None => self.move_to(0, network, now),
        }
        self.changed = true;
        // The new addresses are tried at once.
        self.health.retry_at_once(now);
        if self.health.is_down() {
            self.shared_health.put_off(self.health.finding());
        }
    }
}
