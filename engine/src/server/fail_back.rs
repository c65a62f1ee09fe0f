//! How a server returns from a later address to an earlier one. The rule is in [`arrive`](super::arrive).

use std::time::Duration;

use super::state::Server;
use crate::id::ConnId;
use crate::network::{Network, Output};
use crate::time::Instant;

/// The longest pause between two trials, unless `memcache_retry` is longer.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The pause doubles this many times at most.
const MAX_DOUBLINGS: u32 = 6;
/// The delay that a client that tries is allowed.
const SLACK: Duration = Duration::from_secs(1);

impl Server {
    /// Tries an earlier address, if a trial is due.
    pub(super) fn maybe_fail_back(&mut self, network: &mut Network, now: Instant) {
        if self.addresses.agreed() == 0 || self.addresses.trial().is_some() || network.draining {
            return;
        }
        if !self.is_live() || !self.has_ready(&network.connections) {
            return;
        }
        if self.addresses.is_moving() {
            return self.maintain_at(now.after(self.settings.timeout), network);
        }
        let due = self.addresses.trial_at().max(self.shared_health.trial_at(now));
        if due > now {
            return self.maintain_at(due, network);
        }
        let addresses = u32::try_from(self.addresses.agreed()).unwrap_or(u32::MAX);
        let time = self.settings.connect_timeout.saturating_mul(addresses).saturating_add(SLACK);
        match self.shared_health.lease(self.process, time, now) {
            Ok(()) => self.try_earlier(0, network, now),
            Err(until) => self.maintain_at(until, network),
        }
    }

    fn try_earlier(&mut self, address: usize, network: &mut Network, now: Instant) {
        let token = network.rng.u32(..);
        if let Err(at) = self.throttle.take(now) {
            self.addresses.put_trial_off(at);
            self.give_lease_back();
            return self.maintain_at(at, network);
        }
        let conn = self.connect(address, token, network, now);
        self.addresses.begin_trial(conn);
    }

    /// Whether this connection tried an earlier address, which then does not work.
    pub fn trial_failed(&mut self, conn: ConnId, address: usize, network: &mut Network, now: Instant) -> bool {
        if self.addresses.trial() != Some(conn) {
            return false;
        }
        self.addresses.end_trial();
        let next = address.saturating_add(1);
        if next < self.addresses.agreed() && self.is_live() && !network.draining {
            self.try_earlier(next, network, now);
            return true;
        }
        let trials = self.addresses.count_trial();
        let due = now.after(self.trial_pause(trials, network));
        self.addresses.put_trial_off(due);
        self.shared_health.put_trial_off(due);
        self.give_lease_back();
        self.maintain_at(due, network);
        true
    }

    /// Ends the trial of an earlier address.
    pub(super) fn stop_failing_back(&mut self, network: &mut Network) {
        let Some(conn) = self.addresses.end_trial() else { return };
        drop(network.connections.remove(conn));
        network.outputs.push_back(Output::Close { conn });
        self.give_lease_back();
    }

    /// The pause after this many failed trials.
    pub(super) fn trial_pause(&self, trials: u32, network: &mut Network) -> Duration {
        let retry = self.settings.retry;
        let factor = 1u32.checked_shl(trials.min(MAX_DOUBLINGS)).unwrap_or(1);
        let pause = retry.saturating_mul(factor).min(MAX_PAUSE.max(retry));
        pause.saturating_add(pause.mul_f64(network.rng.f64() / 4.0))
    }
}
