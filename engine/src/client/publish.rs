//! The views of a client's servers, and their publication.

use std::time::Duration;

use super::state::Client;
use crate::id::ServerId;
use crate::route::subset::Subset;
use crate::server::{Server, ServerView};
use crate::time::Instant;

impl<T> Client<T> {
    /// The server's current state; `None`: it is not in the list.
    pub fn server(&self, id: ServerId) -> Option<ServerView<'_>> {
        let (server, config) = self.servers.member(id).zip(self.servers.config(id))?;
        Some(server.view(config, &self.network.connections))
    }

    /// Publishes the [`Gauges`](crate::stats::Gauges) of servers that have changed: at most ten times a second while
    /// operations are pending, and at once when none is.
    pub fn publish(&mut self, now: Instant) {
        const EVERY: Duration = Duration::from_millis(100);
        if self.pending() > 0 && now.since(self.published) < EVERY {
            return;
        }
        self.published = now;
        for id in 0..self.servers.len() {
            if self.servers.get_mut(id).is_some_and(Server::take_changed) {
                if let Some(view) = self.server(id) {
                    view.publish(now);
                }
            }
        }
    }

    /// Publishes the gauges of all servers at once, before the client goes away.
    pub fn publish_last(&self, now: Instant) {
        self.servers_of(Subset::ALL).iter().filter_map(|&id| self.server(id)).for_each(|view| view.publish(now));
    }

    pub(super) fn note_change(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get_mut(id) {
            server.note_change();
        }
    }
}
