//! A server as the client shows it.

use super::pick::usable;
use super::state::Server;
use crate::config::ServerConfig;
use crate::connection::Connection;
use crate::network::Connections;
use crate::shared::{State, Switch};
use crate::stats::{Counters, Rest, Stats};
use crate::time::Instant;

/// A server's configuration and current state.
#[derive(Debug)]
pub struct ServerView<'a> {
    /// Its configuration.
    pub config: &'a ServerConfig,
    /// Whether it gets operations.
    pub state: State,
    /// The time of the last change of state.
    pub since: Instant,
    /// What the operator wants, as far as this client knows.
    pub switch: Switch,
    /// The number of the address in use.
    pub address: usize,
    /// Connections that are ready for operations.
    pub open: usize,
    /// Connections that connect, or wait for the answers to their greeting.
    pub connecting: usize,
    /// Open connections without a pending reply.
    pub idle: usize,
    /// Open connections with a pending reply.
    pub busy: usize,
    /// Connections to other addresses: those with replies pending, and the one that tries an earlier address.
    pub elsewhere: usize,
    /// Pending replies, including those that no caller wants any more.
    pub pending: usize,
    /// Operations that wait for a connection.
    pub queued: usize,
    /// Its counters.
    pub counters: &'a Counters,
    rest: Option<&'a Rest>,
}

impl ServerView<'_> {
    /// The counters' current values.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// Publishes the gauges and the counters.
    pub fn publish(&self, now: Instant) {
        let gauges = [self.open, self.connecting, self.busy, self.pending, self.queued];
        self.counters.gauges.publish(self.state, gauges);
        if let Some(rest) = self.rest {
            rest.tell(self.counters, now);
        }
    }
}

impl Server {
    /// The number of the address in use. Others may have moved there, which this client learns when it is asked.
    fn address(&self) -> usize {
        let shared = self.shared_health.address();
        let is_mine = shared.is_of(self.addresses.list()) && shared.number() < self.settings.address_count;
        if is_mine {
            shared.number()
        } else {
            self.addresses.agreed()
        }
    }

    /// The server as it is now.
    pub fn view<'a>(&'a self, config: &'a ServerConfig, connections: &Connections) -> ServerView<'a> {
        let ready = || self.connections.iter().filter_map(|&conn| usable(connections, conn)).map(|(_, c)| c);
        let idle = ready().filter(|c| c.load() == 0).count();
        let open = ready().count();
        ServerView {
            config,
            state: self.health.state(),
            since: self.health.since(),
            switch: self.health.switch(),
            address: self.address(),
            elsewhere: self.addresses.elsewhere(),
            open,
            connecting: self.connecting,
            idle,
            busy: open.saturating_sub(idle),
            pending: ready().map(Connection::load).sum(),
            queued: self.queue.len(),
            counters: &self.counters,
            rest: self.rest.as_ref(),
        }
    }
}
