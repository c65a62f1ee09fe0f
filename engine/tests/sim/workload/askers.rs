//! Who asks: modules, for all servers or for some.

use memcache_engine::{ModuleId, Subset};

use super::Workload;
use crate::world::World;

/// The name of a module.
fn name(n: usize) -> String {
    format!("module {n}")
}

impl Workload {
    /// Some operations go to some of the servers from now on: a key may be on several.
    pub fn use_subset(&mut self, world: &mut World, servers: &[usize]) {
        world.each(|world| {
            self.subset = world.worker.client.subset(Subset::ALL, servers).expect("servers");
        });
        world.ledger.roams = true;
    }

    /// Whether none of the subset's servers may be in the list.
    pub fn is_alone(&self, world: &World) -> bool {
        self.subset != Subset::ALL && world.ledger.moves
    }

    /// So many modules ask from now on.
    pub fn use_modules(&mut self, world: &mut World, count: usize) {
        for n in 1..count {
            world.each(|world| {
                let module = world.worker.client.module(name(n).as_bytes());
                assert_eq!(module.map(ModuleId::index), Some(n));
            });
        }
        self.modules = count;
    }

    /// The module that asks, by the number of its operation.
    pub fn module(&self, number: u64) -> ModuleId {
        let any = usize::try_from(number / 3).unwrap_or(0) % self.modules;
        self.module.unwrap_or(ModuleId::from_index(any))
    }

    /// Whether a module waits with its share of the queue, if all that there are use the client.
    pub fn has_share(&self, world: &World, module: ModuleId) -> bool {
        let queue = world.worker.client.config().queue;
        let name = if module == ModuleId::UNTAGGED { String::new() } else { name(module.index()) };
        let own = world.worker.client.modules().find(|view| view.name == name).map_or(0, |view| view.queued);
        own >= (queue / self.modules).max(1)
    }
}
