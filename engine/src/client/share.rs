//! Gets that share one exchange (`memcache_coalesce`).
//!
//! The first of several equal gets leads: it alone is sent. The others follow, each with its own deadline, and end with
//! the same answer. They are for the same server, whichever [`Subset`](super::Subset) chose it.
//!
//! What time an exchange has is its own, whoever waits for it: `memcache_timeout` from when it was begun. Until then it
//! goes on where its leader is cancelled or late, for the next one of those who follow. Then it is late itself: nobody
//! joins it any more, and with the next one that gives up, those who still have time ask anew, which may be on another
//! connection. Without this an item that many ask for would never leave a connection that hangs.

use std::collections::{HashMap, TryReserveError, VecDeque};

use super::{Call, Client, Order, Place, Server, Timer};
use crate::id::{CallId, ServerId};
use crate::operation::key::Key;
use crate::operation::reply::Answer;
use crate::operation::request::Verb;
use crate::operation::work::Work;
use crate::time::Instant;

/// By key, the gets under way that others can share the exchange of.
pub(super) type Leaders = HashMap<Vec<u8>, Lead>;

/// An exchange that others can share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lead {
    /// Those who share it, named after the one that came first, whoever leads now.
    group: CallId,
    /// When it is late.
    late: Instant,
}

/// Those who share an exchange, if it is more than one.
#[derive(Debug)]
pub(super) struct Group {
    leader: CallId,
    late: Instant,
    /// In the order in which they came; some may have given up.
    followers: VecDeque<CallId>,
}

/// A get that others follow gives up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaver {
    /// What it led; it does not any more.
    pub group: Option<CallId>,
    pub server: ServerId,
    pub place: Place,
    /// When its connection is given up if the reply has not come by then.
    pub overdue: Instant,
}

impl Group {
    pub fn leader(&self) -> CallId {
        self.leader
    }

    /// Whether the get is among those who follow.
    pub fn has(&self, id: CallId) -> bool {
        self.followers.contains(&id)
    }

    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        self.followers.try_reserve(1)
    }
}

impl<T> Client<T> {
    /// The group of the get that is under way and that this operation on the server can share the exchange of.
    pub(super) fn group_for(&self, order: &Order, now: Instant) -> Option<CallId> {
        let Order { key: Some(key), work: Work::Keyed(Verb::Get { touch: None }), server, .. } = order else {
            return None;
        };
        let lead = self.leaders.get(key.raw()).filter(|lead| now < lead.late)?;
        let group = self.groups.get(&lead.group);
        let leader = group.map_or(lead.group, |group| group.leader);
        self.calls.get(leader).filter(|call| call.place != Place::Done && call.server == *server)?;
        // Those who follow do not wait for a connection, so that a queue of none does not forbid it.
        let most = if self.config.queue == 0 { self.config.pipeline } else { self.config.queue };
        (group.map_or(0, |group| group.followers.len()) < most).then_some(lead.group)
    }

    /// The group with this name, which is begun if there is none.
    pub(super) fn group(&mut self, name: CallId) -> &mut Group {
        let late = self.calls.get(name).map_or(Instant::default(), |leader| leader.since.after(self.config.timeout));
        self.groups.entry(name).or_insert_with(|| Group { leader: name, late, followers: VecDeque::new() })
    }

    pub(super) fn follow(&mut self, id: CallId, name: CallId) {
        let group = self.group(name);
        group.followers.push_back(id);
        let leader = group.leader;
        if let Some(call) = self.calls.get_mut(id) {
            call.place = Place::Following(name);
        }
        let server = self.calls.get(leader).map(|leader| leader.server);
        if let Some(server) = server.and_then(|server| self.servers.get_mut(server)) {
            server.counters.stats.coalesced.bump();
        }
    }

    /// An operation was accepted: a get can be followed from now on; and a get that comes after a write is not to be
    /// answered by one that may have been before it.
    pub(super) fn mark(&mut self, id: CallId) {
        if !self.config.coalesce {
            return;
        }
        let Some(call) = self.calls.get_mut(id) else { return };
        match (&call.key, call.work()) {
            (Some(key), Some(Work::Keyed(Verb::Get { touch: None }))) => {
                self.leaders
                    .insert(key.raw().to_vec(), Lead { group: id, late: call.since.after(self.config.timeout) });
                call.group = Some(id);
            }
            (Some(key), Some(Work::Keyed(verb))) if verb.is_write() => {
                self.leaders.remove(key.raw());
            }
            (_, Some(Work::Server(verb))) if verb.is_write() => self.leaders.clear(),
            _ => {}
        }
    }

    /// Nobody joins a group any more.
    pub(super) fn unmark(&mut self, group: Option<CallId>, key: Option<&Key>) {
        let Some((group, key)) = group.zip(key) else { return };
        if self.leaders.get(key.raw()).is_some_and(|lead| lead.group == group) {
            self.leaders.remove(key.raw());
        }
    }

    /// The one that leads a group has its answer: so have all.
    pub(super) fn finish_group(&mut self, leader: CallId, name: CallId, answer: &Answer, now: Instant) {
        let Some(call) = self.calls.get(leader) else { return };
        // It may have moved since it was followed.
        let server = call.server;
        if let Some(key) = &call.key {
            if self.leaders.get(key.raw()).is_some_and(|lead| lead.group == name) {
                self.leaders.remove(key.raw());
            }
        }
        let Some(group) = self.groups.remove(&name) else { return };
        for follower in group.followers {
            if let Some(call) = self.calls.get_mut(follower).filter(|call| call.place == Place::Following(name)) {
                call.server = server;
                self.finish(follower, answer.clone(), now);
            }
        }
    }

    /// A get gives up. The first of those that follow and still have time leads from now on. `None`: there is none, and
    /// its place is still to be left; otherwise, whether it was sent.
    ///
    /// It has ended already: nothing that happens here can send it.
    pub(super) fn hand_over(&mut self, leaver: Leaver, now: Instant) -> Option<bool> {
        let Leaver { group, server, place, overdue } = leaver;
        let name = group?;
        // A server that is down is asked nothing, and may answer yet.
        let is_down = !self.servers.get(server).is_some_and(Server::is_live);
        let heir = self.heir(name, now)?;
        let group = self.groups.get_mut(&name)?;
        let (Place::Sent(conn, number), true) = (place, now < group.late || is_down) else {
            let sent = self.leave(server, place, 0, overdue, now);
            self.lead_anew(name, heir, server, sent, now);
            return Some(sent);
        };
        group.leader = heir;
        let call = self.calls.get_mut(heir)?;
        call.group = Some(name);
        call.place = place;
        // The leader may have moved since it was followed.
        call.server = server;
        if self.connections.get_mut(conn).is_some_and(|c| c.reassign(number, heir, overdue)) {
            self.timers.insert(overdue, Timer::Overdue(conn, number));
        }
        Some(true)
    }

    /// One of those that follow is late. If its exchange is late as well, the others do not wait for that any longer: it
    /// goes on for its leader alone.
    pub(super) fn desert(&mut self, name: CallId, now: Instant) {
        let Some(group) = self.groups.get(&name).filter(|group| group.late <= now) else { return };
        let leader = group.leader;
        let Some(server) = self.calls.get(leader).map(|call| call.server) else { return };
        if !self.servers.get(server).is_some_and(Server::is_live) {
            return;
        }
        let Some(heir) = self.heir(name, now) else { return };
        if let Some(leader) = self.calls.get_mut(leader) {
            leader.group = None;
        }
        self.lead_anew(name, heir, server, true, now);
    }

    /// Another exchange begins for a group; `again`: the one before was sent.
    fn lead_anew(&mut self, name: CallId, heir: CallId, server: ServerId, again: bool, now: Instant) {
        let late = now.after(self.config.timeout);
        if let Some(group) = self.groups.get_mut(&name) {
            (group.leader, group.late) = (heir, late);
        }
        let Some(call) = self.calls.get_mut(heir) else { return };
        call.group = Some(name);
        call.server = server;
        call.retried |= again;
        if let Some(lead) = call.key.as_ref().and_then(|key| self.leaders.get_mut(key.raw())) {
            if lead.group == name {
                lead.late = late;
            }
        }
        if let Some(server) = self.servers.get_mut(server).filter(|_| again) {
            server.counters.stats.retried.bump();
        }
        self.dispatch(heir, server, now);
    }

    /// Takes the first one that follows and still has time out of a group, which is no more if there is none.
    fn heir(&mut self, name: CallId, now: Instant) -> Option<CallId> {
        let group = self.groups.get_mut(&name)?;
        while let Some(next) = group.followers.pop_front() {
            // Who is late as well ends by its own timer.
            let follows = |call: &Call<T>| call.place == Place::Following(name) && call.deadline > now;
            if self.calls.get(next).is_some_and(follows) {
                return Some(next);
            }
        }
        self.groups.remove(&name);
        None
    }
}
