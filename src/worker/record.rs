//! A server's memory in the zone.

#![forbid(unsafe_code)]

use memcache_engine::{Counters, SharedHealth};

/// A server's memory; where there was no room for it, none.
#[derive(Clone, Default)]
pub struct Record {
    /// What all workers know of the server.
    pub shared_health: Option<&'static SharedHealth>,
    /// For each table of slots, how many it has, and their counters.
    pub tables: Vec<(usize, Option<&'static [Counters]>)>,
    /// What those count that have no slot.
    pub rest: Option<&'static Counters>,
}

impl Record {
    /// What the workers of a slot have counted.
    pub fn of_slot(&self, slot: usize) -> Option<&'static Counters> {
        let mut first = 0usize;
        self.tables.iter().find_map(|&(slots, counters)| {
            let at = slot.checked_sub(first)?;
            first = first.saturating_add(slots);
            counters?.get(at).filter(|_| at < slots)
        })
    }

    /// What all workers have counted; `None`: nobody knows.
    pub fn counters(&self) -> Option<impl Iterator<Item = &'static Counters> + Clone + '_> {
        Some(self.tables.iter().filter_map(|(_, counters)| *counters).flatten().chain([self.rest?]))
    }
}
