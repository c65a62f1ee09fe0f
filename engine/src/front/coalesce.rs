//! Gets that share one exchange (`memcache_coalesce`).
//!
//! The first of several equal gets leads: it alone is sent. The others follow, each with its own deadline, and end with
//! the same answer. They are for the same server, whichever [`Subset`](crate::Subset) chose it.
//!
//! What time an exchange has is its own, whoever waits for it: `memcache_timeout` from when it was begun. Until then it
//! goes on where its leader is cancelled or late, for the next one of those who follow. Then it is late itself: nobody
//! joins it any more, and with the next one that gives up, those who still have time ask anew, which may be on another
//! connection. Without this an item that many ask for would never leave a connection that hangs.

use std::collections::{HashMap, TryReserveError, VecDeque};

use crate::id::CallId;
use crate::time::Instant;

/// The exchanges that are shared, or can be.
#[derive(Debug, Default)]
pub(crate) struct Exchanges {
    /// By key, those that others can join.
    open: HashMap<Vec<u8>, Open>,
    /// Those that more than one get shares, by the get that came first.
    groups: HashMap<CallId, Group>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    name: CallId,
    /// When it is late.
    late: Instant,
}

#[derive(Debug)]
struct Group {
    leader: CallId,
    late: Instant,
    /// In the order in which they came; some may have given up.
    followers: VecDeque<CallId>,
}

/// An exchange that a get can join.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// The get that came first, whoever leads now.
    pub name: CallId,
    /// The get that was sent.
    pub leader: CallId,
    /// How many follow it.
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

    /// Makes sure that the next [`begin`](Exchanges::begin) needs no more memory.
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        self.open.try_reserve(1)
    }

    /// Makes sure that the next [`join`](Exchanges::join) of this exchange needs no more memory.
    pub fn try_reserve_in(&mut self, name: CallId, late: Instant) -> Result<(), TryReserveError> {
        self.groups.try_reserve(1)?;
        self.group(name, late).followers.try_reserve(1)
    }

    /// A get begins an exchange of its name, which others can join until it is late.
    pub fn begin(&mut self, name: CallId, key: &[u8], late: Instant) {
        self.open.insert(key.to_vec(), Open { name, late });
    }

    /// Nobody joins an exchange of this key any more.
    pub fn close(&mut self, key: &[u8]) {
        self.open.remove(key);
    }

    /// The same, if it is the one of this name.
    pub fn close_named(&mut self, name: CallId, key: &[u8]) {
        if self.open.get(key).is_some_and(|open| open.name == name) {
            self.open.remove(key);
        }
    }

    /// Nobody joins any exchange any more.
    pub fn close_all(&mut self) {
        self.open.clear();
    }

    /// A get follows; `late`: when the exchange is, if nobody follows yet. Returns the leader.
    pub fn join(&mut self, name: CallId, call: CallId, late: Instant) -> CallId {
        let group = self.group(name, late);
        group.followers.push_back(call);
        group.leader
    }

    fn group(&mut self, name: CallId, late: Instant) -> &mut Group {
        self.groups.entry(name).or_insert_with(|| Group { leader: name, late, followers: VecDeque::new() })
    }

    /// Who leads, if there are others.
    pub fn leader(&self, name: CallId) -> Option<CallId> {
        self.groups.get(&name).map(|group| group.leader)
    }

    /// Whether an exchange that others share is late.
    pub fn is_late(&self, name: CallId, now: Instant) -> bool {
        self.groups.get(&name).is_some_and(|group| group.late <= now)
    }

    /// Takes the first one that follows, and still does, out of an exchange, which ends if there is none.
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

    /// The exchange goes on for another leader.
    pub fn hand_over(&mut self, name: CallId, leader: CallId) {
        if let Some(group) = self.groups.get_mut(&name) {
            group.leader = leader;
        }
    }

    /// Another exchange begins for those who shared this one.
    pub fn begin_anew(&mut self, name: CallId, leader: CallId, key: Option<&[u8]>, late: Instant) {
        if let Some(group) = self.groups.get_mut(&name) {
            (group.leader, group.late) = (leader, late);
        }
        if let Some(open) = key.and_then(|key| self.open.get_mut(key)).filter(|open| open.name == name) {
            open.late = late;
        }
    }

    /// The exchange is over. Returns those who followed; some may have given up.
    pub fn end(&mut self, name: CallId) -> impl Iterator<Item = CallId> {
        self.groups.remove(&name).map(|group| group.followers).into_iter().flatten()
    }

    /// How many can be joined, and how many are shared.
    #[cfg(test)]
    pub fn len(&self) -> (usize, usize) {
        (self.open.len(), self.groups.len())
    }
}
