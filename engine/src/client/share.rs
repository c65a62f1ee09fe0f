//! Gets that share one exchange (`memcache_coalesce`).
//!
//! The first of several equal gets leads: it alone is sent. The others follow, each with its own deadline, and end with
//! the same answer. They are for the same server, whichever [`Subset`](super::Subset) chose it. Where the leader is
//! cancelled or late, the next one takes its place, and the exchange goes on.

use std::collections::HashMap;

use super::{CallId, Client, Order, Place, ServerId, Work};
use crate::key::Key;
use crate::request::Verb;
use crate::time::Instant;

/// The get under way that others of its key share the exchange of.
pub(super) type Leaders = HashMap<Vec<u8>, CallId>;

impl<T> Client<T> {
    /// The get that is under way and that this operation on the server can share the exchange of.
    pub(super) fn leader_of(&self, order: &Order) -> Option<CallId> {
        let Order { key: Some(key), work: Work::Keyed(Verb::Get { touch: None }), server, .. } = order else {
            return None;
        };
        let leader = *self.leaders.get(key.raw())?;
        self.calls.get(leader).filter(|call| call.place != Place::Done && call.server == *server)?;
        let followers = self.followers.get(&leader).map_or(0, Vec::len);
        (followers < self.config.queue).then_some(leader)
    }

    pub(super) fn follow(&mut self, id: CallId, leader: CallId) {
        let Some(server) = self.calls.get(leader).map(|leader| leader.server) else { return };
        self.followers.entry(leader).or_default().push(id);
        if let Some(call) = self.calls.get_mut(id) {
            call.place = Place::Following(leader);
        }
        if let Some(server) = self.servers.get_mut(server) {
            server.counters.stats.coalesced.bump();
        }
    }

    /// An operation was accepted: a get can be followed from now on; and a get that comes after a write is not to be
    /// answered by one that may have been before it.
    pub(super) fn mark(&mut self, id: CallId) {
        if !self.config.coalesce {
            return;
        }
        let Some(call) = self.calls.get(id) else { return };
        match (&call.key, call.work()) {
            (Some(key), Some(Work::Keyed(Verb::Get { touch: None }))) => {
                self.leaders.insert(key.raw().to_vec(), id);
            }
            (Some(key), Some(Work::Keyed(verb))) if verb.is_write() => {
                self.leaders.remove(key.raw());
            }
            (_, Some(Work::Server(verb))) if verb.is_write() => self.leaders.clear(),
            _ => {}
        }
    }

    /// A get ended: nobody follows it any more.
    pub(super) fn unmark(leaders: &mut Leaders, id: CallId, key: Option<&Key>) {
        if let Some(key) = key.filter(|key| leaders.get(key.raw()) == Some(&id)) {
            leaders.remove(key.raw());
        }
    }

    /// Those that follow a get, which are no longer known to do so.
    pub(super) fn followers_of(&mut self, leader: CallId) -> Vec<CallId> {
        // Nearly always there are none at all, and nothing to look for.
        if self.followers.is_empty() {
            return Vec::new();
        }
        self.followers.remove(&leader).unwrap_or_default()
    }

    /// A leader on this server gives up: the first of those that follow takes its place. True if there is one.
    pub(super) fn hand_over(
        &mut self,
        id: CallId,
        server: ServerId,
        place: Place,
        followers: Vec<CallId>,
        now: Instant,
    ) -> bool {
        let follows = |heir: &CallId| self.calls.get(*heir).is_some_and(|call| call.place == Place::Following(id));
        let mut heirs = followers.into_iter().filter(follows).collect::<Vec<_>>().into_iter();
        let Some(heir) = heirs.next() else { return false };
        let rest: Vec<CallId> = heirs.collect();
        for &follower in &rest {
            if let Some(call) = self.calls.get_mut(follower) {
                call.place = Place::Following(heir);
            }
        }
        let Some(call) = self.calls.get_mut(heir) else { return false };
        call.place = place;
        // The leader may have moved since it was followed.
        call.server = server;
        if let Some(leader) =
            call.key.as_ref().and_then(|key| self.leaders.get_mut(key.raw())).filter(|leader| **leader == id)
        {
            *leader = heir;
        }
        if !rest.is_empty() {
            self.followers.insert(heir, rest);
        }
        match place {
            Place::Sent(conn, number) => {
                if let Some(connection) = self.connections.get_mut(conn) {
                    connection.reassign(number, heir);
                }
            }
            _ => {
                // It loses the place in the queue, not the time that it has.
                if let Some(server) = self.servers.get_mut(server) {
                    server.queued = server.queued.saturating_sub(1);
                }
                self.place(heir, server, None);
                self.pump(server, now);
            }
        }
        true
    }
}
