//! Several clients of the same servers: what one of them finds out about a server, the others take over.

use super::state::Client;
use crate::id::ServerId;
use crate::network::{Event, Output};
use crate::time::Instant;

impl<T> Client<T> {
    /// Takes over what others have found out about a server.
    #[inline]
    pub(super) fn learn(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get(id) else { return };
        let is_news = server.shared_health.verdict() != server.seen;
        self.follow_address(id, now);
        if is_news {
            self.take_over(id, now);
        }
    }

    #[cold]
    fn take_over(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get(id) else { return };
        let verdict = server.shared_health.verdict();
        let (was_down, is_down) = (server.health.is_down(), verdict.is_down());
        let finding = server.shared_health.finding(now);
        if is_down && !was_down {
            // Where connections work, one that does not is no reason to give up the server, here as for one client.
            // That an answer has come in half of the time that operations have says that they work.
            let half = self.config.timeout.mul_f64(0.5);
            let answers = server.answered_at.after(half) > finding.since;
            if answers && self.least_loaded(server).is_some() {
                if now.since(finding.since) >= self.config.retry && server.answered_at > finding.since {
                    self.back(id, now);
                }
                return;
            }
        }
        let policy = self.policy();
        let Some(server) = self.servers.get_mut(id) else { return };
        server.seen = verdict;
        match (was_down, is_down) {
            (false, true) => {
                server.health.adopt(finding, now);
                server.at.start_over();
                server.touched = true;
                server.passed = bytes::Bytes::new();
                self.give_up_queue(id, now);
                self.close_idle(id);
                self.maintain_at(id, finding.retry_at);
            }
            (true, false) => {
                server.health.connected(policy, now);
                server.touched = true;
                self.maintain(id, now);
            }
            _ => {}
        }
    }

    /// The server is down, as this client has found. True if it is the first one.
    pub(super) fn tell_down(&mut self, id: ServerId, now: Instant) -> bool {
        let Some(server) = self.servers.get_mut(id) else { return false };
        let (first, verdict) = server.shared_health.declare_down(server.health.finding());
        server.seen = verdict;
        if !first {
            server.health.put_off(server.shared_health.finding(now));
        }
        first
    }

    /// The server is back, as this client has found.
    pub(super) fn back(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get_mut(id) else { return };
        let (first, verdict) = server.shared_health.declare_live(now);
        server.seen = verdict;
        server.touched = true;
        self.give_lease_back(id);
        if first {
            self.network.outputs.push_back(Output::Event(Event::ServerUp { server: id }));
        }
    }

    /// Whether the server may be connected to; `Err`: not before then. Of the clients of a server that is down, one may.
    pub(super) fn may_connect(&mut self, id: ServerId, now: Instant) -> Result<(), Instant> {
        let who = self.who;
        let Some((server, config)) = self.servers.get_mut(id).zip(self.config.servers.get(id)) else { return Ok(()) };
        if server.health.is_down() {
            let finding = server.shared_health.finding(now);
            if finding.retry_at > server.health.retry_at() {
                server.health.put_off(finding);
            }
        }
        let retry_at = server.health.retry_at();
        if retry_at > now {
            return Err(retry_at);
        }
        if !server.health.is_down() {
            return Ok(());
        }
        // As long as a connect may take to each address, and some time to notice that.
        let addresses = u32::try_from(config.addresses).unwrap_or(u32::MAX);
        let time = self.config.connect_timeout.saturating_mul(addresses).saturating_add(LEASE_SLACK);
        // Those who have to wait look again when it is over, so that they learn of a server that is back.
        server.shared_health.lease(who, time, now)
    }

    /// Lets another one probe.
    pub(super) fn give_lease_back(&self, id: ServerId) {
        if let Some(server) = self.servers.get(id) {
            server.shared_health.release(self.who);
        }
    }

    /// A probe has failed: the next one is due later, by whoever is there first.
    pub(super) fn tell_probe_failed(&mut self, id: ServerId) {
        let Some(server) = self.servers.get(id).filter(|server| server.health.is_down()) else { return };
        server.shared_health.put_off(server.health.finding());
        self.give_lease_back(id);
    }
}

/// What a prober may be late by.
const LEASE_SLACK: std::time::Duration = std::time::Duration::from_secs(1);
