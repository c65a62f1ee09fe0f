//! What a key stood for, and on which server.

use memcache_engine::Instant;

use super::{Ledger, Timeline, Version};
use crate::op::{Op, Order};

impl Ledger {
    /// The list of a worker has changed. Operations on servers that are not in it may go elsewhere, apart from others on their
    /// key.
    pub fn moved(&mut self, worker: usize, is_listed: impl Fn(usize) -> bool) {
        let moved = |op: &Op| op.worker == worker && op.on_server.is_none() && !is_listed(op.server);
        let numbers: Vec<u64> = self.ops.iter().filter(|(_, op)| moved(op)).map(|(&number, _)| number).collect();
        for number in &numbers {
            let Some(op) = self.ops.get_mut(number) else { continue };
            op.order = Order::default();
            op.moved = true;
            if let Some(writes) = self.writes.get_mut(&op.lane()) {
                writes.remove(number);
            }
        }
    }

    /// Whether the key stood for such a thing at any time since `from`, on any server that had it, or on the one that has
    /// answered if the list changes.
    pub(super) fn stood(&self, key: &[u8], from: Instant, what: &dyn Fn(&Option<Version>) -> bool) -> bool {
        let servers = self.timelines.get(key);
        if self.moves && !self.roams {
            let timeline = servers.and_then(|servers| servers.get(&self.answers_from));
            return timeline.map_or_else(|| what(&None), |timeline| Self::has_stood(timeline, from, what));
        }
        let elsewhere = (self.roams || servers.is_none()) && what(&None);
        elsewhere || servers.into_iter().flatten().any(|(_, timeline)| Self::has_stood(timeline, from, what))
    }

    fn has_stood(timeline: &Timeline, from: Instant, what: &dyn Fn(&Option<Version>) -> bool) -> bool {
        let ends = timeline.iter().skip(1).map(|&(until, _)| Some(until)).chain([None]);
        timeline.iter().zip(ends).any(|((_, version), until)| until.is_none_or(|until| until >= from) && what(version))
    }
}
