//! What the operator wants of the servers.

use super::state::Client;
use crate::id::ServerId;
use crate::limits::SWITCH_PAUSE;
use crate::network::Timer;
use crate::server::Server;
use crate::shared::Switch;
use crate::time::Instant;

impl<T> Client<T> {
    /// Does what the operator wants by now. It is also found out when a server is asked something, and by a timer.
    pub fn follow_switches(&mut self, now: Instant) {
        for id in 0..self.servers.len() {
            let is_due = |server: &Server| server.is_switched() || server.is_out_of_use();
            if self.servers.member(id).is_some_and(is_due) {
                self.maintain(id, now);
            }
        }
    }

    /// The operator has changed the switch of this server.
    #[cold]
    pub(super) fn follow_switch(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get_mut(id) else { return };
        match server.follow_switch(&mut self.network, now) {
            Switch::Up => self.maintain(id, now),
            Switch::Down => self.give_up_queue(id, now),
            Switch::Drain => {}
        }
    }

    /// Looks at the switches from time to time from now on, if there are any.
    pub(super) fn watch_switches(&mut self, now: Instant) {
        if !self.watches && self.servers.iter().any(|(_, server)| server.has_switch()) {
            self.watches = true;
            self.network.timers.insert(now.after(SWITCH_PAUSE), Timer::Switches);
        }
    }

    /// That time has come.
    pub(super) fn switches_are_due(&mut self, now: Instant) {
        self.follow_switches(now);
        self.network.timers.insert(now.after(SWITCH_PAUSE), Timer::Switches);
    }
}
