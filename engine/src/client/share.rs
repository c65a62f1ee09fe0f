//! Gets that share an exchange. The rule is in [`coalesce`](crate::front::coalesce).

use super::call::{NewCall, Stage};
use super::state::Client;
use crate::id::{CallId, ServerId};
use crate::network::Timer;
use crate::operation::key::Key;
use crate::operation::module::ModuleId;
use crate::operation::reply::Answer;
use crate::operation::request::Verb;
use crate::operation::work::Work;
use crate::server::{Load, Server};
use crate::time::Instant;

/// A leader that gives up.
#[derive(Clone, Copy, Debug)]
pub(super) struct FormerLeader {
    /// The group that it led.
    pub group: Option<CallId>,
    /// Its module.
    pub module: ModuleId,
    pub server: ServerId,
    pub stage: Stage,
    /// The time when its connection is given up without a reply.
    pub overdue: Instant,
}

impl<T> Client<T> {
    /// The exchange that this operation on the server can join.
    pub(super) fn group_for(&self, new: &NewCall, now: Instant) -> Option<CallId> {
        let NewCall { key: Some(key), work: Work::Keyed(Verb::Get { touch: None }), server, .. } = new else {
            return None;
        };
        let exchange = self.exchanges.find(key.raw(), now)?;
        self.calls.get(exchange.leader).filter(|call| call.stage != Stage::Done && call.server == *server)?;
        // Followers do not wait for a connection, so `memcache_queue 0` does not forbid them.
        let most = if self.config.queue == 0 { self.config.pipeline } else { self.config.queue };
        (exchange.followers < most).then_some(exchange.name)
    }

    /// When an exchange is late, by its first get.
    pub(super) fn late(&self, group: CallId) -> Instant {
        self.calls.get(group).map_or(Instant::default(), |leader| leader.since.after(self.config.timeout))
    }

    pub(super) fn follow(&mut self, id: CallId, group: CallId) {
        let leader = self.exchanges.join(group, id, self.late(group));
        if let Some(call) = self.calls.get_mut(id) {
            call.stage = Stage::Following(group);
        }
        let server = self.calls.get(leader).map(|leader| leader.server);
        if let Some(server) = server.and_then(|server| self.servers.get_mut(server)) {
            server.coalesced();
        }
    }

    /// An operation was accepted. Later gets can join the exchange of a get. A get after a write must not join an
    /// exchange from before it.
    pub(super) fn open_exchange(&mut self, id: CallId) {
        if !self.config.coalesce {
            return;
        }
        let Some(call) = self.calls.get_mut(id) else { return };
        match (&call.key, call.work()) {
            (Some(key), Some(Work::Keyed(Verb::Get { touch: None }))) => {
                self.exchanges.begin(id, key.raw(), call.since.after(self.config.timeout));
                call.group = Some(id);
            }
            (Some(key), Some(Work::Keyed(verb))) if verb.is_write() => self.exchanges.close(key.raw()),
            (_, Some(Work::Server(verb))) if verb.is_write() => self.exchanges.close_all(),
            _ => {}
        }
    }

    /// Closes an exchange: no get joins it any more.
    pub(super) fn close_exchange(&mut self, group: Option<CallId>, key: Option<&Key>) {
        if let Some((group, key)) = group.zip(key) {
            self.exchanges.close_named(group, key.raw());
        }
    }

    /// The leader of an exchange has its answer, and so have its followers.
    pub(super) fn finish_group(&mut self, leader: CallId, group: CallId, answer: &Answer, now: Instant) {
        let Some(call) = self.calls.get(leader) else { return };
        // The leader may have moved to another server since they joined.
        let server = call.server;
        if let Some(key) = &call.key {
            self.exchanges.close_named(group, key.raw());
        }
        for follower in self.exchanges.end(group) {
            if let Some(call) = self.calls.get_mut(follower).filter(|call| call.stage == Stage::Following(group)) {
                call.server = server;
                self.finish(follower, answer.clone(), now);
            }
        }
    }

    /// A get gives up. The first follower that still has time becomes the leader. `None`: there is none, and the get
    /// still has to leave its stage. Otherwise: whether the request was sent.
    ///
    /// The get has ended already, so nothing here can send it.
    pub(super) fn hand_over(&mut self, former: FormerLeader, now: Instant) -> Option<bool> {
        let FormerLeader { group, module, server, stage, overdue } = former;
        let group = group?;
        // A server that is down gets no new requests, but may still answer.
        let is_down = !self.servers.get(server).is_some_and(Server::is_live);
        let next = self.next_leader(group, now)?;
        let in_time = is_down || !self.exchanges.is_late(group, now);
        let (Stage::Sent(conn, number), true) = (stage, in_time) else {
            let key = self.key_left(next, stage);
            let sent = self.give_up_place(server, stage, Load { module, bytes: 0 }, key.as_ref(), overdue, now);
            self.lead_anew(group, next, server, sent, now);
            return Some(sent);
        };
        self.exchanges.hand_over(group, next);
        let call = self.calls.get_mut(next)?;
        call.group = Some(group);
        call.stage = stage;
        // The leader may have moved to another server since they joined.
        call.server = server;
        if self.network.connections.get_mut(conn).is_some_and(|c| c.reassign(number, next, overdue)) {
            self.network.timers.insert(overdue, Timer::Overdue(conn, number));
        }
        Some(true)
    }

    /// A follower is late. If its exchange is late, too, the other followers leave it, and it goes on for its leader
    /// alone.
    pub(super) fn leave_exchange(&mut self, group: CallId, now: Instant) {
        let Some(leader) = self.exchanges.leader(group).filter(|_| self.exchanges.is_late(group, now)) else { return };
        let Some(server) = self.calls.get(leader).map(|call| call.server) else { return };
        if !self.servers.get(server).is_some_and(Server::is_live) {
            return;
        }
        let Some(next) = self.next_leader(group, now) else { return };
        if let Some(leader) = self.calls.get_mut(leader) {
            leader.group = None;
        }
        self.lead_anew(group, next, server, true, now);
    }

    /// A new exchange begins for the gets of this one. `again`: the former one was sent.
    fn lead_anew(&mut self, group: CallId, leader: CallId, server: ServerId, again: bool, now: Instant) {
        let late = now.after(self.config.timeout);
        let key = self.calls.get(leader).and_then(|call| call.key.as_ref());
        self.exchanges.begin_anew(group, leader, key.map(Key::raw), late);
        let Some(call) = self.calls.get_mut(leader) else { return };
        call.group = Some(group);
        call.server = server;
        call.retried |= again;
        if let Some(server) = self.servers.get(server).filter(|_| again) {
            server.sent_again();
        }
        self.dispatch(leader, server, now);
    }

    /// Takes the first follower that still has time out of an exchange. Without one, the exchange ends. Late followers
    /// are skipped: they end by their own timers.
    fn next_leader(&mut self, group: CallId, now: Instant) -> Option<CallId> {
        let calls = &mut self.calls;
        self.exchanges.take_next(group, |id| {
            let Some(call) = calls.get_mut(id).filter(|call| call.stage == Stage::Following(group)) else {
                return false;
            };
            let has_time = call.deadline > now;
            if !has_time {
                call.patience = 0;
            }
            has_time
        })
    }
}
