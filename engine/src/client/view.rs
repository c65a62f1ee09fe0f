//! What a client shows of its servers.

use std::time::Duration;

use super::state::Client;
use crate::config::ServerConfig;
use crate::connection::{Connection, Phase};
use crate::id::ServerId;
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

impl<T> Client<T> {
    /// A server as it is now.
    pub fn server(&self, id: ServerId) -> Option<ServerView<'_>> {
        let (server, config) = self.servers.get(id).zip(self.config.servers.get(id))?;
        let ready = || {
            let connections = server.connections.iter().filter_map(|&conn| self.network.connections.get(conn));
            connections.filter(|c| c.phase == Phase::Ready)
        };
        let idle = ready().filter(|c| c.load() == 0).count();
        let open = ready().count();
        Some(ServerView {
            config,
            state: server.health.state(),
            since: server.health.since(),
            address: server.at.agreed(),
            elsewhere: server.at.elsewhere(),
            open,
            connecting: server.connecting,
            idle,
            busy: open.saturating_sub(idle),
            pending: ready().map(Connection::load).sum(),
            queued: server.queue.len(),
            counters: &server.counters,
            rest: server.rest.as_ref(),
        })
    }

    /// Lets others see what there is now, in [`Gauges`](crate::stats::Gauges): those of the servers that have changed,
    /// ten times a second at most while operations are pending. Once none is, what was published is right.
    pub fn publish(&mut self, now: Instant) {
        const EVERY: Duration = Duration::from_millis(100);
        if self.pending() > 0 && now.since(self.published) < EVERY {
            return;
        }
        self.published = now;
        for id in 0..self.servers.len() {
            let Some(server) = self.servers.get_mut(id) else { return };
            if std::mem::take(&mut server.touched) {
                if let Some(view) = self.server(id) {
                    view.publish(now);
                }
            }
        }
    }

    /// The same for all servers, whenever it was last: before nobody is there any more who could.
    pub fn publish_last(&self, now: Instant) {
        (0..self.servers.len()).filter_map(|id| self.server(id)).for_each(|view| view.publish(now));
    }

    pub(super) fn touch(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get_mut(id) {
            server.touched = true;
        }
    }
}
