//! Many large items for somebody who goes away.

use memcache_engine::{StoreMode, Ttl, Verb};

use super::{value, Workload};
use crate::world::World;

impl Workload {
    /// Asks for as many items at once, all of one server, but for the first one: a small one has that.
    pub fn submit_large(&mut self, world: &mut World, count: usize) -> u64 {
        let number = self.next;
        self.next += 1;
        let small = self.keys.remove(0);
        assert_eq!(self.submit_batch(world, number, None, count), None);
        self.keys.insert(0, small);
        number
    }

    /// Stores an item of this size under every key, but for a small one under the first.
    pub fn fill(&mut self, world: &mut World, size: usize) {
        for at in 0..self.keys.len() {
            let number = self.next;
            self.next += 1;
            let value = value(number, if at == 0 { 10 } else { size });
            let flags = u32::try_from(number).expect("it is small");
            let verb = Verb::Store { mode: StoreMode::Set, value, flags, ttl: Ttl::NEVER, cas: 0 };
            assert_eq!(self.submit_verb(world, number, at, verb, None), None);
        }
    }

    /// Whoever asked for this does not want it any more.
    pub fn desert(&self, world: &mut World, number: u64) {
        let Some(call) = world.ledger.outstanding().get(&number).map(|op| op.call) else { return };
        assert_eq!(world.worker.client.cancel(call, world.now), Some(number));
        world.ledger.cancelled(number, world.now);
        world.obey();
    }
}
