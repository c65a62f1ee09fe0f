//! Several clients of the same server. Each adopts what another has found, and one of them probes.

use std::time::Duration;

use super::state::Server;
use crate::network::{Event, Network, Output};
use crate::time::Instant;

/// The delay that a prober is allowed.
const LEASE_SLACK: Duration = Duration::from_secs(1);

/// A change that another client has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// The server is down: see [`went_down`](Server::went_down).
    Down,
    /// It is up again.
    Up,
}

impl Server {
    /// Whether another client has found a change.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.shared_health.state() != self.seen_state
    }

    /// Adopts the change that another client has found.
    pub fn take_over(&mut self, network: &mut Network, now: Instant) -> Option<News> {
        // What others have found at its addresses is of no use without one.
        if !self.has_addresses() {
            return None;
        }
        let state = self.shared_health.state();
        let (was_down, is_down) = (self.health.is_down(), state.is_down());
        let finding = self.shared_health.finding(now);
        if is_down && !was_down {
            // If connections of this client work, another client's failure does not bring the server down here. An
            // answer within half of the timeout shows that they work.
            let half = self.settings.timeout.mul_f64(0.5);
            let answers = self.answered_at.after(half) > finding.since;
            if answers && self.least_loaded(&network.connections).is_some() {
                if now.since(finding.since) >= self.settings.retry && self.answered_at > finding.since {
                    self.back(network, now);
                }
                return None;
            }
        }
        let policy = self.settings.policy(network.rng.f64());
        self.seen_state = state;
        match (was_down, is_down) {
            (false, true) => {
                self.health.adopt(finding, now);
                self.addresses.start_over();
                self.changed = true;
                self.known.forget();
                Some(News::Down)
            }
            (true, false) => {
                self.health.connected(policy, now);
                self.changed = true;
                self.say_up(false, network);
                Some(News::Up)
            }
            _ => None,
        }
    }

    /// This client has found the server down. True if it is the first one.
    pub(super) fn tell_down(&mut self, now: Instant) -> bool {
        let (first, state) = self.shared_health.declare_down(self.health.finding());
        self.seen_state = state;
        if !first {
            self.health.put_off(self.shared_health.finding(now));
        }
        first
    }

    /// A connection is ready.
    pub fn opened(&mut self, network: &mut Network, now: Instant) {
        let policy = self.settings.policy(network.rng.f64());
        self.counters.stats.opened.bump();
        if self.health.connected(policy, now) {
            self.back(network, now);
        }
    }

    /// Answers have come. `proven`: their connection has answered for a while.
    pub fn answered(&mut self, proven: bool, network: &mut Network, now: Instant) {
        // A success starts no pause, so no jitter is drawn. A draw per read would let later events depend on how reads
        // are split.
        let policy = self.settings.policy(0.0);
        self.answered_at = now;
        if self.has_left() {
            return;
        }
        if self.health.success(proven, policy, now) {
            self.back(network, now);
        }
    }

    /// This client has found the server live again.
    fn back(&mut self, network: &mut Network, now: Instant) {
        let (first, state) = self.shared_health.declare_live(now);
        self.seen_state = state;
        self.changed = true;
        self.give_lease_back();
        self.say_up(first, network);
    }

    /// It is live again. `first`: this client has found that out.
    fn say_up(&mut self, first: bool, network: &mut Network) {
        if std::mem::take(&mut self.is_down_alone) || first {
            network.outputs.push_back(Output::Event(Event::ServerUp { server: self.id }));
        }
    }

    /// Whether a connect is allowed; `Err`: not before then. While a server is down, one of its clients may connect.
    pub(super) fn may_connect(&mut self, now: Instant) -> Result<(), Instant> {
        if self.health.is_down() {
            let finding = self.shared_health.finding(now);
            if finding.retry_at > self.health.retry_at() {
                self.health.put_off(finding);
            }
        }
        let retry_at = self.health.retry_at();
        if retry_at > now {
            return Err(retry_at);
        }
        if !self.health.is_down() {
            return Ok(());
        }
        // The time that a connect to each address may take, and some time to notice its end.
        let addresses = u32::try_from(self.settings.address_count).unwrap_or(u32::MAX);
        let time = self.settings.connect_timeout.saturating_mul(addresses).saturating_add(LEASE_SLACK);
        // The others look again when it is over, to learn whether the server is back.
        self.shared_health.lease(self.process, time, now)
    }

    /// Lets another client probe.
    pub(super) fn give_lease_back(&self) {
        self.shared_health.release(self.process);
    }

    /// A probe has failed: the next one is due later, for any client.
    pub(super) fn tell_probe_failed(&mut self) {
        if self.health.is_down() {
            self.shared_health.put_off(self.health.finding());
            self.give_lease_back();
        }
    }
}
