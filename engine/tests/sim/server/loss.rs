//! Items that a server loses.

use fastrand::Rng;
use memcache_engine::Instant;

use super::Server;
use crate::checks::Ledger;

impl Server {
    /// It has lost what it knew.
    pub fn forget(&mut self, ledger: &mut Ledger, now: Instant) {
        self.vacant.clear();
        let id = self.id;
        std::mem::take(&mut self.items).into_keys().for_each(|key| ledger.changed(id, &key, None, now));
    }

    /// It has lost one item.
    pub fn evict(&mut self, ledger: &mut Ledger, rng: &mut Rng, now: Instant) {
        let Some(key) = self.items.keys().nth(rng.usize(..self.items.len().max(1))).cloned() else { return };
        self.items.remove(&key);
        ledger.changed(self.id, &key, None, now);
    }
}
