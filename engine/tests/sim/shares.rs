//! A module that floods a server takes nothing from one that asks now and then.

use std::time::Duration;

use fastrand::Rng;
use memcache_engine::{Instant, ModuleId};

use crate::progress::config_of;
use crate::workload::Workload;
use crate::world::World;

const FLOODS: usize = 1;
const ASKS: usize = 2;

/// A server behind a slow link, two modules that ask it, and the longest time that the second waits for an answer.
struct Pair {
    world: World,
    workload: Workload,
    longest: Duration,
}

impl Pair {
    fn new(seed: u64, max: usize, limits: (usize, usize)) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut config = config_of(&mut rng, 1, max);
        (config.pipeline, config.queue) = limits;
        (config.coalesce, config.timeout) = (false, Duration::from_secs(2));
        let mut workload = Workload::new(&mut rng, config.max_value);
        let mut world = World::new(config, seed);
        workload.use_modules(&mut world, 3);
        // A connection takes some dozens of requests in a millisecond.
        (world.servers[0].weather.latency, world.servers[0].weather.buffer) = (1_000, 2_048);
        world.run(Duration::from_secs(2));
        Pair { world, workload, longest: Duration::ZERO }
    }

    /// The second module asks once, and writes at times; the first one asks so often in each millisecond until there is an
    /// answer, and some more.
    fn ask(&mut self, flood: usize, rng: &mut Rng) {
        self.workload.module = Some(ModuleId::from_index(ASKS));
        let number = self.workload.next();
        let at = rng.usize(..self.workload.keys().len());
        let writes = rng.u8(..4) == 0;
        let refused = match writes {
            true => self.workload.submit_set_of(&mut self.world, at),
            false => self.workload.submit_get_of(&mut self.world, at),
        };
        assert_eq!(refused, None, "who waits with less than its share is refused");
        self.workload.module = Some(ModuleId::from_index(FLOODS));
        let (asked, mut answered) = (self.world.now, None::<Instant>);
        let mut rounds = 0;
        while answered.is_none() || rounds < 8 {
            for _ in 0..flood {
                let at = rng.usize(..self.workload.keys().len());
                // A key that is written stays on its connection.
                let _ = self.workload.submit_get_of(&mut self.world, at);
            }
            self.world.posted();
            self.world.run(Duration::from_millis(1));
            rounds += 1;
            for (ended, answer) in self.world.done.drain(..).filter(|(ended, _)| *ended == number) {
                assert!(answer.is_ok(), "{answer:?} to {ended}, which asks now and then");
                answered = Some(self.world.now);
            }
        }
        self.longest = self.longest.max(answered.unwrap_or(asked).since(asked));
    }
}

/// With connections to share, who asks now and then waits no more than twice as long as without the flood.
pub fn flood(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut pair = Pair::new(seed, rng.usize(3..=4), (32, 256));
    (0..20).for_each(|_| pair.ask(0, &mut rng));
    let calm = std::mem::take(&mut pair.longest);
    // A write goes behind those of its key, and the flood has begun.
    (0..3).for_each(|_| pair.ask(150, &mut rng));
    pair.longest = Duration::ZERO;
    (0..20).for_each(|_| pair.ask(150, &mut rng));
    // Nobody has asked without a name.
    let views: Vec<_> = pair.world.worker.client.modules().collect();
    assert!(views[FLOODS - 1].errors > 0 && views[ASKS - 1].errors == 0, "{views:?}");
    assert!(pair.longest <= calm * 2 + Duration::from_millis(1), "{:?} in a flood, {calm:?} without", pair.longest);
    pair.world.settle();
}

/// With one connection, it waits, too, but is not refused, and its turn comes soon.
pub fn full(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut pair = Pair::new(seed, 2, (rng.usize(1..4), rng.usize(16..64)));
    (0..20).for_each(|_| pair.ask(60, &mut rng));
    pair.world.settle();
}
