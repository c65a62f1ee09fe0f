//! A server's memory in the zone.

#![forbid(unsafe_code)]

use memcache_engine::{Counters, SharedHealth};

/// A server's memory; empty if there was no room for it.
#[derive(Clone, Default)]
pub struct Record {
    /// The health that all workers share.
    pub shared_health: Option<&'static SharedHealth>,
    /// For each table of slots: their number, and their counters.
    pub tables: Vec<(usize, Option<&'static [Counters]>)>,
    /// The counters of workers without a slot.
    pub rest: Option<&'static Counters>,
}

impl Record {
    /// The counts of the workers of a slot.
    pub fn of_slot(&self, slot: usize) -> Option<&'static Counters> {
        let mut first = 0usize;
        self.tables.iter().find_map(|&(slots, counters)| {
            let at = slot.checked_sub(first)?;
            first = first.saturating_add(slots);
            counters?.get(at).filter(|_| at < slots)
        })
    }

    /// The counts of all workers; `None`: they are unknown.
    pub fn counters(&self) -> Option<impl Iterator<Item = &'static Counters> + Clone + '_> {
        Some(self.tables.iter().filter_map(|(_, counters)| *counters).flatten().chain([self.rest?]))
    }
}
