//! A server's memory in the zone.

#![forbid(unsafe_code)]

use core::net::Ipv6Addr;

use memcache_engine::{Counters, SharedHealth, SharedSwitch};

/// A server's memory; empty if there was no room for it.
#[derive(Clone, Default)]
pub struct Record {
    /// The health that all workers share.
    pub shared_health: Option<&'static SharedHealth>,
    /// The operator's switch; `None` also without a `memcache_control`.
    pub switch: Option<&'static SharedSwitch>,
    /// For each table of slots: their number, and their counters.
    pub tables: Vec<(usize, Option<&'static [Counters]>)>,
    /// The counters of workers without a slot.
    pub rest: Option<&'static Counters>,
}

/// The text of a client's address that a switch has.
pub fn client_text(address: [u8; 16]) -> String {
    match address {
        [0, ..] if address == [0; 16] => "unix:".into(),
        address => Ipv6Addr::from(address).to_canonical().to_string(),
    }
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
