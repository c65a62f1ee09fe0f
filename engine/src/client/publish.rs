//! What a client shows of its servers, and when others see it.

use std::time::Duration;

use super::state::Client;
use crate::id::ServerId;
use crate::server::{Server, ServerView};
use crate::time::Instant;

impl<T> Client<T> {
    /// A server as it is now.
    pub fn server(&self, id: ServerId) -> Option<ServerView<'_>> {
        let (server, config) = self.servers.get(id).zip(self.config.servers.get(id))?;
        Some(server.view(config, &self.network.connections))
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
            if self.servers.get_mut(id).is_some_and(Server::take_changed) {
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

    pub(super) fn note_change(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get_mut(id) {
            server.note_change();
        }
    }
}
