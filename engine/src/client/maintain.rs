//! Maintenance of servers, and its effect on operations that wait.

use super::call::Stage;
use super::state::Client;
use crate::id::{ConnId, ServerId};
use crate::network::Cause;
use crate::operation::work::Work;
use crate::server::{Arrival, Lines, News, Server};
use crate::time::Instant;

impl<T> Client<T> {
    /// Maintenance of the server is due, or the state of the server has changed.
    pub(super) fn maintain(&mut self, id: ServerId, now: Instant) {
        if self.servers.member(id).is_none() {
            return;
        }
        self.learn(id, now);
        if !self.network.draining {
            if let Some(server) = self.servers.get_mut(id) {
                server.maintain(&mut self.network, now);
            }
        }
        self.pump(id, now);
    }

    /// Opens another connection if the server needs one.
    pub(super) fn grow(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get_mut(id) else { return };
        let (calls, waiting) = (&self.calls, server.waiting());
        let waits = |id| calls.get(id).is_some_and(|call| call.stage == Stage::Queued);
        let next = server.next_waiting(Lines::default(), waits);
        let alone = next.and_then(|(id, _)| calls.get(id)?.work()).is_some_and(Work::is_alone);
        self.grow_for(id, waiting, alone, now);
    }

    /// The same for `waiting` operations that have no connection. `alone`: the next of them goes alone.
    pub(super) fn grow_for(&mut self, id: ServerId, waiting: usize, alone: bool, now: Instant) {
        let (network, modules) = (&mut self.network, &self.modules);
        let wants = |server: &&mut Server| server.wants_connection(network, waiting, alone, || modules.any_spares(now));
        let Some(server) = self.servers.get_mut(id).filter(wants) else { return };
        if server.is_held_back(network, now) {
            return;
        }
        // Another client may have found the server down.
        self.learn(id, now);
        if let Some(server) = self.servers.get_mut(id).filter(|server| server.sends() && !server.is_out_of_use()) {
            server.open(&mut self.network, now);
        }
    }

    /// Adopts the changes that other clients have found.
    #[inline]
    pub(super) fn learn(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get(id) else { return };
        let (has_news, is_switched) = (server.has_news(), server.is_switched());
        if is_switched {
            self.follow_switch(id, now);
        }
        self.follow_address(id, now);
        if has_news {
            self.take_over(id, now);
        }
    }

    #[cold]
    fn take_over(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get_mut(id) else { return };
        match server.take_over(&mut self.network, now) {
            Some(News::Down) => self.went_down(id, now),
            Some(News::Up) => self.maintain(id, now),
            None => {}
        }
    }

    /// Moves to the address that other clients use.
    #[inline]
    fn follow_address(&mut self, id: ServerId, now: Instant) {
        if self.servers.get(id).is_some_and(Server::is_elsewhere) {
            self.follow_others(id, now);
        }
    }

    #[cold]
    fn follow_others(&mut self, id: ServerId, now: Instant) {
        if self.servers.get_mut(id).is_some_and(|server| server.follow_others(&mut self.network, now)) {
            self.maintain(id, now);
        }
    }

    /// A connection has passed its greeting.
    pub(super) fn ready(&mut self, conn: ConnId, id: ServerId, now: Instant) {
        if !self.arrive(conn, id, now) {
            return;
        }
        let Some(server) = self.servers.get_mut(id) else { return };
        server.opened(&mut self.network, now);
        self.after_reply(conn, id, now);
        if !self.network.draining {
            // A server that is live again gets its `min` connections.
            self.maintain(id, now);
        }
    }

    /// Chooses the server's address. False: it is another one, and the connection was closed.
    fn arrive(&mut self, conn: ConnId, id: ServerId, now: Instant) -> bool {
        if !self.network.connections.contains_key(conn) {
            return false;
        }
        if let Some(server) = self.servers.get_mut(id) {
            server.arrived(conn);
        }
        self.follow_address(id, now);
        let Some(server) = self.servers.get_mut(id) else { return false };
        match server.settle(conn, &mut self.network, now) {
            Arrival::Here => true,
            Arrival::Closed => false,
            Arrival::Overtaken => {
                self.follow_address(id, now);
                self.network.connections.contains_key(conn)
            }
        }
    }

    /// Counts a failure of a server. True if it is down from now on.
    pub(super) fn failed(&mut self, id: ServerId, cause: &Cause, now: Instant) -> bool {
        let server = self.servers.get_mut(id);
        let is_down = server.is_some_and(|server| server.failed(1, cause, &mut self.network, now));
        if is_down {
            self.went_down(id, now);
        }
        is_down
    }

    /// The server is down from now on.
    pub(super) fn went_down(&mut self, id: ServerId, now: Instant) {
        let Some(retry_at) = self.servers.get(id).map(Server::retry_at) else { return };
        self.give_up_queue(id, now);
        if let Some(server) = self.servers.get_mut(id) {
            server.went_down(retry_at, &mut self.network);
        }
    }

    /// Disables a server, which then gets neither operations nor probes, or enables it. Pending requests are still
    /// answered. False: there is no such server in the list.
    pub fn set_enabled(&mut self, id: ServerId, enabled: bool, now: Instant) -> bool {
        let Some(server) = self.servers.get_mut(id).filter(|server| !server.has_left()) else { return false };
        if server.set_disabled(!enabled, now) {
            if !enabled {
                self.give_up_queue(id, now);
                if let Some(server) = self.servers.get_mut(id) {
                    server.close_idle(&mut self.network);
                }
            }
            self.maintain(id, now);
        }
        true
    }

    /// The worker is about to exit: idle connections close now, the others once they are idle. Operations still work,
    /// also new ones.
    pub fn drain(&mut self, _now: Instant) {
        self.network.draining = true;
        for server in self.servers.iter_mut() {
            server.drain(&mut self.network);
        }
    }
}
