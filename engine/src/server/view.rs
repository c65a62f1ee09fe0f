//! What a client shows of a server.

use super::pick::usable;
use super::state::Server;
use crate::config::ServerConfig;
use crate::connection::Connection;
use crate::network::Connections;
use crate::shared::State;
use crate::stats::{Counters, Rest, Stats};
use crate::time::Instant;

/// A server as configured and as it is now.
#[derive(Debug)]
pub struct ServerView<'a> {
    /// As configured.
    pub config: &'a ServerConfig,
    /// Whether operations are sent to it.
    pub state: State,
    /// When that state was entered.
    pub since: Instant,
    /// Which of its addresses it is asked at.
    pub address: usize,
    /// Connections that are ready for operations.
    pub open: usize,
    /// Connections that connect or wait for the answers to their greeting.
    pub connecting: usize,
    /// Of those open: without a pending reply.
    pub idle: usize,
    /// Of those open: with one.
    pub busy: usize,
    /// Connections to other addresses: those that still have replies pending, and one that looks whether it works.
    pub elsewhere: usize,
    /// Replies that are awaited, those that nobody wants any more included.
    pub pending: usize,
    /// Operations that wait for a connection.
    pub queued: usize,
    /// What is counted.
    pub counters: &'a Counters,
    rest: Option<&'a Rest>,
}

impl ServerView<'_> {
    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// Lets others see what there is now, and what was counted.
    pub fn publish(&self, now: Instant) {
        let gauges = [self.open, self.connecting, self.busy, self.pending, self.queued];
        self.counters.gauges.publish(self.state, gauges);
        if let Some(rest) = self.rest {
            rest.tell(self.counters, now);
        }
    }
}

impl Server {
    /// The server as it is now.
    pub fn view<'a>(&'a self, config: &'a ServerConfig, connections: &Connections) -> ServerView<'a> {
        let ready = || self.connections.iter().filter_map(|&conn| usable(connections, conn)).map(|(_, c)| c);
        let idle = ready().filter(|c| c.load() == 0).count();
        let open = ready().count();
        ServerView {
            config,
            state: self.health.state(),
            since: self.health.since(),
            address: self.addresses.agreed(),
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
