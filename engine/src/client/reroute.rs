//! Operations of a server that has left the list.
//!
//! **The rule.** An operation is routed once, by the list at its submission: the parts of a batch and the choice of a
//! stand-in, too. It is routed anew, by the current list, only if its server has left the list before a byte of it was sent, or
//! if it may be sent again. So no operation fails because the list has changed, except one on the server itself.

use super::call::{Owner, Stage};
use super::state::Client;
use crate::id::{CallId, ServerId};
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::route::subset::Subset;
use crate::server::Server;
use crate::time::Instant;

impl<T> Client<T> {
    /// The server has left the list: what waits for it goes elsewhere, in its order.
    pub(super) fn route_queue_anew(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get_mut(id) else { return };
        for call in server.empty_queue() {
            if self.calls.get(call).is_some_and(|call| call.stage == Stage::Queued && call.server == id) {
                self.route_anew(call, now);
            }
        }
    }

    /// Routes an operation by the current list. It is in no queue and on no connection.
    ///
    /// It was accepted, so it is not refused where it comes to: the queue there may exceed its bound by as much as others
    /// have lost.
    pub(super) fn route_anew(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let (from, load, subset) = (call.server, call.load(), call.subset);
        let hold = call.hold.take();
        let key = match call.owner {
            // It undoes what another operation did on that server.
            Owner::Internal => None,
            Owner::Caller(_) | Owner::Batch(..) => call.key.take(),
        };
        call.stage = Stage::Queued;
        if let Some(server) = self.servers.get_mut(from) {
            server.release(hold);
            server.release_backlog(load);
        }
        let Some(key) = key else {
            return self.complete(id, Err(Error::NoSuchServer), now);
        };
        let (home, server) = self.choose_anew(subset, &key, now);
        let Some(call) = self.calls.get_mut(id) else { return };
        call.key = Some(key);
        (call.home, call.server) = (home, server);
        self.arrive_at(id, server, now);
    }

    /// The operation goes to this server, and has left the one before.
    pub(super) fn arrive_at(&mut self, id: CallId, server: ServerId, now: Instant) {
        let Some(call) = self.calls.get(id) else { return };
        let (load, group) = (call.load(), call.group);
        if let Some(server) = self.servers.get_mut(server) {
            server.take_backlog(load);
        }
        if let Some(group) = group {
            // It may learn that the server is down.
            self.part_with_followers(group, server, now);
        }
        if self.servers.get(server).is_some_and(Server::is_live) {
            self.dispatch(id, server, now);
        } else {
            self.complete(id, Err(Error::ServerDown), now);
        }
    }

    #[cold]
    fn choose_anew(&mut self, subset: Subset, key: &Key, now: Instant) -> (ServerId, ServerId) {
        self.choose(subset, key, now)
    }

    /// The leader of a shared exchange goes to this server. Followers that another subset routes elsewhere leave it.
    fn part_with_followers(&mut self, group: CallId, server: ServerId, now: Instant) {
        let mut others = Vec::new();
        for follower in self.exchanges.followers(group) {
            let Some(call) = self.calls.get_mut(follower).filter(|call| call.stage == Stage::Following(group)) else {
                continue;
            };
            let Some(key) = call.key.take() else { continue };
            let (subset, is_late) = (call.subset, call.deadline <= now);
            let (home, own) = self.choose_anew(subset, &key, now);
            let Some(call) = self.calls.get_mut(follower) else { continue };
            call.key = Some(key);
            (call.home, call.server) = (home, own);
            // A late one ends by its own timer.
            if own != server && !is_late {
                others.push(follower);
            }
        }
        self.exchanges.part(group, &others);
        others.into_iter().for_each(|follower| self.route_anew(follower, now));
    }
}
