//! What the operator wants of a server.

use super::state::Server;
use crate::network::Network;
use crate::shared::{State, Switch};
use crate::time::Instant;

impl Server {
    /// Whether the operator has changed the switch.
    #[inline]
    pub fn is_switched(&self) -> bool {
        self.shared_switch.as_ref().is_some_and(|shared| shared.setting() != self.seen_setting)
    }

    /// Whether the operator may change it.
    pub fn has_switch(&self) -> bool {
        self.shared_switch.is_some()
    }

    /// Does what the operator wants, apart from its queue. Returns it.
    pub fn follow_switch(&mut self, network: &mut Network, now: Instant) -> Switch {
        if let Some(shared) = &self.shared_switch {
            self.seen_setting = shared.setting();
        }
        let switch = self.seen_setting.switch();
        if switch != self.health.switch() {
            self.health.set_switch(switch, now);
            self.changed = true;
        }
        if self.is_out_of_use() {
            self.close_unused(network);
        }
        switch
    }

    /// Whether what it has accepted is sent.
    #[inline]
    pub fn sends(&self) -> bool {
        self.health.sends()
    }

    /// Whether it is disabled, and nothing waits that is still to be sent.
    pub fn is_out_of_use(&self) -> bool {
        self.health.state() == State::Disabled && !(self.sends() && self.has_waiting())
    }
}
