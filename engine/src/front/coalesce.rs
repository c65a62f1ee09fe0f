//! Gets that share one exchange (`memcache_coalesce`).
//!
//! The first of several equal gets is the leader: it alone is sent. The others follow, each with its own deadline, and
//! end with the same answer. They go to the same server, whichever [`Subset`](crate::Subset) chose it.
//!
//! An exchange has a time limit of its own: `memcache_timeout` from its start. Before that, it continues if its leader
//! is cancelled or late: the next follower becomes the leader. After that, the exchange is late: no get joins it any
//! more. With the next leader or follower that gives up, those that still have time begin a new exchange, which may be
//! on another connection. Without this rule, a popular item would never leave a connection that hangs.

use std::collections::{HashMap, TryReserveError, VecDeque};

use crate::id::CallId;
use crate::time::Instant;

/// Shared exchanges, and those that a get can join.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    /// The exchanges that gets can join, by key.
    open: HashMap<Vec<u8>, Open>,
    /// The exchanges of more than one get, by their first get.
    groups: HashMap<CallId, Group>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    name: CallId,
    /// The time when it is late.
    late: Instant,
}

#[derive(Debug)]
struct Group {
    leader: CallId,
    late: Instant,
    /// In the order of their arrival. Some may have given up.
    followers: VecDeque<CallId>,
}

/// An exchange that a get can join.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// The exchange's first get, even if it is not the leader any more.
    pub name: CallId,
    /// The get that was sent.
    pub leader: CallId,
    /// The number of followers.
    pub followers: usize,
}

impl Exchanges {
    /// The exchange that a get of this key can join.
    pub fn find(&self, key: &[u8], now: Instant) -> Option<Exchange> {
        let &Open { name, .. } = self.open.get(key).filter(|open| now < open.late)?;
        let group = self.groups.get(&name);
        let (leader, followers) = group.map_or((name, 0), |group| (group.leader, group.followers.len()));
        Some(Exchange { name, leader, followers })
    }

    /// Reserves the memory of the next [`begin`](Exchanges::begin).
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        self.open.try_reserve(1)
    }

    /// Reserves the memory of the next [`join`](Exchanges::join) of this exchange.
    pub fn try_reserve_in(&mut self, name: CallId, late: Instant) -> Result<(), TryReserveError> {
        self.groups.try_reserve(1)?;
        self.group(name, late).followers.try_reserve(1)
    }

    /// A get begins an exchange with its own name. Others can join until it is late.
    pub fn begin(&mut self, name: CallId, key: &[u8], late: Instant) {
        self.open.insert(key.to_vec(), Open { name, late });
    }

    /// Closes the exchange of this key: no get joins it any more.
    pub fn close(&mut self, key: &[u8]) {
        self.open.remove(key);
    }

    /// The same, if the exchange has this name.
    pub fn close_named(&mut self, name: CallId, key: &[u8]) {
        if self.open.get(key).is_some_and(|open| open.name == name) {
            self.open.remove(key);
        }
    }

    /// Closes all exchanges.
    pub fn close_all(&mut self) {
        self.open.clear();
    }

    /// A get follows. `late`: when the exchange is late, for its first follower. Returns the leader.
    pub fn join(&mut self, name: CallId, call: CallId, late: Instant) -> CallId {
        let group = self.group(name, late);
        group.followers.push_back(call);
        group.leader
    }

    fn group(&mut self, name: CallId, late: Instant) -> &mut Group {
        self.groups.entry(name).or_insert_with(|| Group { leader: name, late, followers: VecDeque::new() })
    }

    /// The leader, if the exchange is shared.
    pub fn leader(&self, name: CallId) -> Option<CallId> {
        self.groups.get(&name).map(|group| group.leader)
    }

    /// Whether a shared exchange is late.
    pub fn is_late(&self, name: CallId, now: Instant) -> bool {
        self.groups.get(&name).is_some_and(|group| group.late <= now)
    }

    /// Takes the first follower for which `follows` is true out of an exchange. Without one, the exchange ends.
    pub fn take_next(&mut self, name: CallId, mut follows: impl FnMut(CallId) -> bool) -> Option<CallId> {
        let group = self.groups.get_mut(&name)?;
        while let Some(next) = group.followers.pop_front() {
            if follows(next) {
                return Some(next);
            }
        }
        self.groups.remove(&name);
        None
    }

    /// The exchange gets another leader.
    pub fn hand_over(&mut self, name: CallId, leader: CallId) {
        if let Some(group) = self.groups.get_mut(&name) {
            group.leader = leader;
        }
    }

    /// A new exchange begins for the gets of this one.
    pub fn begin_anew(&mut self, name: CallId, leader: CallId, key: Option<&[u8]>, late: Instant) {
        if let Some(group) = self.groups.get_mut(&name) {
            (group.leader, group.late) = (leader, late);
        }
        if let Some(open) = key.and_then(|key| self.open.get_mut(key)).filter(|open| open.name == name) {
            open.late = late;
        }
    }

    /// The followers of an exchange, in their order. Some may have given up.
    pub fn followers(&self, name: CallId) -> Vec<CallId> {
        self.groups.get(&name).map(|group| group.followers.iter().copied().collect()).unwrap_or_default()
    }

    /// These followers leave an exchange.
    pub fn part(&mut self, name: CallId, others: &[CallId]) {
        if let Some(group) = self.groups.get_mut(&name).filter(|_| !others.is_empty()) {
            group.followers.retain(|follower| !others.contains(follower));
        }
    }

    /// The exchange is over. Returns its followers. Some may have given up.
    pub fn end(&mut self, name: CallId) -> impl Iterator<Item = CallId> {
        self.groups.remove(&name).map(|group| group.followers).into_iter().flatten()
    }

    /// The number of exchanges that gets can join, and of shared ones.
    #[cfg(test)]
    pub fn len(&self) -> (usize, usize) {
        (self.open.len(), self.groups.len())
    }
}
