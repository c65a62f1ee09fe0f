//! Another list of addresses for a server. The rule of [`arrive`](super::arrive) holds across the change.
//!
//! A server may have no address, as its name is not resolved yet. Operations wait for one, up to their deadlines. When the name
//! could not be resolved, the server is down, for this client alone: others may know its addresses.
//!
//! Addresses are numbered by their places in the list. So an address that is in both lists may have another number in the new
//! one: connections to it stay. Connections to others close, or send nothing more and close once they have answered.

use super::state::Server;
use crate::network::{Cause, Network};
use crate::stats::Fault;
use crate::time::Instant;

/// The number of an address that is not in the list any more.
const NONE: usize = usize::MAX;

impl Server {
    /// Whether an address is known.
    #[inline]
    pub(super) fn has_addresses(&self) -> bool {
        self.settings.address_count > 0
    }

    /// Its name could not be resolved. True if it is down from now on. With an address, the server is asked there as before.
    pub fn unresolved(&mut self, network: &mut Network, now: Instant) -> bool {
        if self.has_addresses() || self.has_left() {
            return false;
        }
        self.counters.last_fault.note(Fault::Unresolved, now);
        self.failed(u32::MAX, &Cause::Unresolved, network, now)
    }

    /// There is another list: for each address its number in the former one, if it was there. `list` is the same number for
    /// all clients that have the same addresses in it.
    pub fn set_addresses(&mut self, list: u64, former: &[Option<usize>], network: &mut Network, now: Instant) {
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
        self.addresses.renumber(list, after.unwrap_or(NONE), after.unwrap_or(0));
        // Another client may have been faster.
        self.shared_health.enter_list(list, after.unwrap_or(0));
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
