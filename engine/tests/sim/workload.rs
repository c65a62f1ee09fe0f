//! Random operations on few keys, so that they meet.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use memcache_engine::{
    Asker, Direction, DiscoverBy, Error, Instant, LongKeys, ModuleId, Outcome, Request, ServerVerb, StoreMode, Subset,
    Ttl, Verb, MAX_LONG_KEY, PATIENCE, PIPELINE_BOUND,
};

use crate::habits::Habits;
use crate::op::{Op, OF_BATCH};
use crate::server::LIVES;
use crate::world::World;

mod askers;
mod cancel;
mod large;

/// The longest value that is ever stored.
pub const LONGEST: usize = 300_000;

/// What the operations of a run are like.
#[derive(Debug)]
pub struct Workload {
    keys: Vec<Vec<u8>>,
    sizes: Vec<usize>,
    /// The most operations that are submitted in one turn.
    pub burst: usize,
    /// Of 256 operations, so many are cancelled.
    pub cancels: u8,
    own_timeouts: bool,
    /// Of 256 operations, so many are lease gets.
    leases: u8,
    /// Batches are among the operations; some go to a subset of the servers.
    batches: bool,
    subset: Subset,
    /// So many modules ask, the first of which does not say who it is.
    pub modules: usize,
    /// The one that asks, if it is always the same.
    pub module: Option<ModuleId>,
    /// Some servers speak text: there a counter is not made in one step, which no server sees as one operation.
    pub in_text: bool,
    /// Every operation has all the time it could need.
    pub patient: bool,
    /// The versions that were seen last, by key.
    seen: Vec<u64>,
    /// Operations that go alone, at which a server may close the connection.
    pub alone: BTreeSet<u64>,
    next: u64,
}

/// Bytes that are nowhere else: at each number another part of one random text.
fn value(number: u64, len: usize) -> Bytes {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| {
        let mut rng = Rng::with_seed(0);
        (0..LONGEST + (1 << 20)).map(|_| b"abcdefgh\r\n HDVAO"[rng.usize(..16)]).collect()
    });
    let start = usize::try_from(number.wrapping_mul(7919) % (1 << 20)).expect("it is small");
    text.slice(start..start + len)
}

/// When an operation was submitted, when it has to end, and when if large values are in its way.
fn times(world: &World, timeout: Option<Duration>) -> [Instant; 3] {
    let config = world.worker.client.config();
    let deadline = world.now.after(timeout.unwrap_or(config.timeout));
    let longest = (config.timeout + Habits::LONGEST_TURN) * u32::from(PATIENCE);
    let patient = timeout.is_none_or(|timeout| timeout == config.timeout);
    [world.now, deadline, if patient { deadline.after(longest) } else { deadline }]
}

/// The key on the wire.
fn sent(world: &World, key: &[u8]) -> Vec<u8> {
    world.worker.client.config().keys.key(key, Vec::new()).expect("a key").raw().to_vec()
}

impl Workload {
    pub fn new(rng: &mut Rng, max_value: usize) -> Self {
        let mut keys: Vec<Vec<u8>> = (0..rng.usize(1..12)).map(|n| format!("k{n}").into_bytes()).collect();
        keys.extend([b"with space".to_vec(), vec![0, b'\r', b'\n', 0xff], vec![b'x'; 248], vec![1; 184]]);
        let mut sizes = vec![0, 1, 42, 200, 1_000, 4_096, 5_000, 20_000, 100_000, 290_000, max_value];
        sizes.retain(|&size| size <= max_value);
        // Some runs are about small values only: large ones take most of the network's time.
        sizes.truncate(rng.usize(3..=sizes.len()));
        let burst = [1, 4, 30, 200][rng.usize(..4)];
        let cancels = [0, 10, 100][rng.usize(..3)];
        let seen = vec![0; keys.len()];
        Workload {
            keys,
            sizes,
            burst,
            cancels,
            own_timeouts: rng.bool(),
            leases: [0, 0, 30, 90][rng.usize(..4)],
            batches: rng.bool(),
            subset: Subset::ALL,
            modules: 1,
            module: None,
            in_text: false,
            patient: false,
            seen,
            alone: BTreeSet::new(),
            next: 1,
        }
    }

    /// Submits some operations, and cancels some.
    pub fn turn(&mut self, world: &mut World) {
        self.learn(world);
        let worker = world.rng.usize(..world.count());
        world.switch(worker);
        for _ in 0..world.rng.usize(1..=self.burst) {
            self.submit(world);
            if world.rng.u8(..) < self.cancels {
                self.cancel(world);
            }
        }
        if self.cancels > 0 && world.rng.u8(..) < 4 {
            self.abort(world);
        }
        if world.rng.bool() {
            world.posted();
        } else {
            // Other events of the same turn come first.
            world.hurry();
        }
    }

    /// Submits a few operations, and then nobody wants anything any more, before a byte of them is written.
    pub fn abort(&mut self, world: &mut World) {
        for _ in 0..world.rng.usize(..20) {
            self.submit(world);
        }
        let calls: Vec<_> =
            world.ledger.outstanding().iter().map(|(&number, op)| (number, op.call, op.worker)).collect();
        for (number, call, worker) in calls {
            world.switch(worker);
            assert_eq!(world.worker.client.cancel(call, world.now), Some(number));
            world.ledger.cancelled(number, world.now);
            world.obey();
        }
    }

    /// Takes the versions of items that were read for comparing later.
    fn learn(&mut self, world: &mut World) {
        for (number, answer) in world.done.drain(..) {
            if let Ok(Outcome::Item(item)) = answer {
                let key = usize::try_from(number).unwrap_or(0) % self.seen.len();
                self.seen[key] = item.cas;
            }
        }
    }

    /// Submits an operation; the error with which it was refused, if it was.
    pub fn submit(&mut self, world: &mut World) -> Option<Error> {
        let number = self.next;
        self.next += 1;
        assert!(number < LIVES, "numbers have to fit in an expiry");
        let at = usize::try_from(number).unwrap_or(0) % self.keys.len();
        let verb = self.verb(&mut world.rng, number, at);
        let timeout = self.timeout(&mut world.rng);
        if world.rng.u8(..) == 0 {
            return self.submit_to_server(world, number, timeout);
        }
        if world.rng.u8(..) == 0 {
            self.refused(world, &verb);
        }
        // One takes as much room as all of its keys.
        if self.batches && !self.patient && world.rng.u8(..) < 16 {
            let count = world.rng.usize(1..=self.keys.len());
            return self.submit_batch(world, number, timeout, count);
        }
        self.submit_verb(world, number, at, verb, timeout)
    }

    /// Submits a get of any key that this server has.
    pub fn submit_get(&mut self, world: &mut World, server: usize) -> Option<Error> {
        let mut keys = 0..self.keys.len();
        let of = |&at: &usize| world.worker.client.server_of(&self.keys[at]) == Ok(server);
        let at = keys.find(of)?;
        self.submit_get_of(world, at)
    }

    /// Submits a get of the key with this number.
    pub fn submit_get_of(&mut self, world: &mut World, at: usize) -> Option<Error> {
        let number = self.next;
        self.next += 1;
        self.submit_verb(world, number, at, Verb::Get { touch: None }, None)
    }

    /// Submits a small set of the key with this number.
    pub fn submit_set_of(&mut self, world: &mut World, at: usize) -> Option<Error> {
        let number = self.next;
        self.next += 1;
        let flags = u32::try_from(number).expect("it is small");
        let verb = Verb::Store { mode: StoreMode::Set, value: value(number, 10), flags, ttl: Ttl::NEVER, cas: 0 };
        self.submit_verb(world, number, at, verb, None)
    }

    /// Submits a batch of gets of all keys.
    pub fn submit_batch_of_all(&mut self, world: &mut World) -> Option<Error> {
        let number = self.next;
        self.next += 1;
        self.submit_batch(world, number, None, self.keys.len())
    }

    /// One more key.
    pub fn add_key(&mut self, key: Vec<u8>) {
        self.keys.push(key);
        self.seen.push(0);
    }

    /// All keys.
    pub fn keys(&self) -> &[Vec<u8>] {
        &self.keys
    }

    /// The number of the next operation.
    pub fn next(&self) -> u64 {
        self.next
    }

    fn submit_verb(
        &mut self,
        world: &mut World,
        number: u64,
        at: usize,
        verb: Verb,
        timeout: Option<Duration>,
    ) -> Option<Error> {
        let times = times(world, timeout);
        let request = Request { key: &self.keys[at], verb: verb.clone(), timeout };
        let subset = if world.rng.bool() { self.subset } else { Subset::ALL };
        let server = world.worker.client.server_within(subset, &self.keys[at]).unwrap_or(usize::MAX);
        let has_left = world.worker.client.servers_of(subset).is_empty();
        assert!(has_left || world.lists(server) && !world.servers[server].backup, "a key of no server, or of a backup");
        let module = self.module(number);
        let answer = world.worker.client.submit_within(Asker { subset, module }, request, number, world.now);
        world.obey();
        match answer {
            Ok(call) => {
                let key = sent(world, &self.keys[at]);
                let mut op = Op::new(call, world.at, server, key, Some(verb), times);
                op.version = world.worker.version;
                op.asked = self.keys[at].clone();
                world.ledger.accepted(number, op);
                None
            }
            Err(rejected) => {
                assert_eq!(rejected.context, number);
                let views = || (0..world.servers.len()).filter_map(|id| world.worker.client.server(id));
                let queue = world.worker.client.config().queue;
                let pipeline = world.worker.client.config().pipeline * PIPELINE_BOUND + queue;
                let has_share = self.has_share(world, module);
                assert!(match rejected.error {
                    Error::ServerDown => has_left || !world.down().is_empty(),
                    Error::Unsupported(_) | Error::InvalidKey(_) => world.ledger.in_text,
                    // Or so much is on the connection that it has to go to.
                    Error::Busy => has_share || views().any(|view| view.queued >= queue || view.pending >= pipeline),
                    _ => false,
                });
                Some(rejected.error)
            }
        }
    }

    fn submit_batch(
        &mut self,
        world: &mut World,
        number: u64,
        timeout: Option<Duration>,
        count: usize,
    ) -> Option<Error> {
        let keys: Vec<&[u8]> = self.keys.iter().cycle().take(count).map(Vec::as_slice).collect();
        let times = times(world, timeout);
        let client = &mut world.worker.client;
        let touch = world.rng.bool().then(|| Ttl::secs(OF_BATCH, 0));
        let asker = Asker { subset: self.subset, module: self.module.unwrap_or_default() };
        let call = client.submit_many(asker, keys.iter().copied(), touch, timeout, number, world.now);
        let call = call.expect("memory for a batch");
        let mut op = Op::new(call, world.at, 0, Vec::new(), None, times);
        op.many = keys.iter().map(|key| sent(world, key)).collect();
        world.ledger.accepted(number, op);
        world.obey();
        None
    }

    fn submit_to_server(&mut self, world: &mut World, number: u64, timeout: Option<Duration>) -> Option<Error> {
        let server = world.rng.usize(..world.servers.len());
        let verb = match world.rng.u8(..8) {
            // A proxy may close the connection at them, and then nobody knows more.
            0 if !(self.patient && self.in_text) => ServerVerb::FlushAll { delay: 0 },
            3 if !(self.patient && self.in_text) => ServerVerb::Discover { by: DiscoverBy::Config },
            1 => ServerVerb::Noop,
            2 => ServerVerb::Stats,
            4 => ServerVerb::Discover { by: DiscoverBy::Item },
            _ => ServerVerb::Version,
        };
        let times = times(world, timeout);
        let module = self.module(number);
        let answer = world.worker.client.submit_to_for(module, server, verb, timeout, number, world.now);
        world.obey();
        match answer {
            Err(rejected) => {
                let is_unknown = rejected.error == Error::NoSuchServer;
                assert_eq!(is_unknown, !world.lists(server), "server {server}: {:?}", rejected.error);
                Some(rejected.error)
            }
            Ok(call) => {
                assert!(world.lists(server), "server {server} has left the list");
                let mut op = Op::new(call, world.at, server, Vec::new(), None, times);
                op.on_server = Some(verb);
                self.alone.extend(verb.is_alone().then_some(number));
                world.ledger.accepted(number, op);
                None
            }
        }
    }

    /// What cannot be sent is refused at once.
    fn refused(&mut self, world: &mut World, verb: &Verb) {
        let made_shorter = world.worker.client.config().keys.long_keys == LongKeys::Hash;
        let long: [&[u8]; 2] =
            if made_shorter { [&[b'x'; MAX_LONG_KEY + 1], &[0; 9_000]] } else { [&[b'x'; 251], &[0; 200]] };
        for key in [&b""[..]].into_iter().chain(long) {
            let request = Request { key, verb: verb.clone(), timeout: None };
            let error = world.worker.client.submit(request, 0, world.now).expect_err("a key that cannot be sent").error;
            assert!(matches!(error, Error::InvalidKey(_)));
        }
        let nowhere = world
            .worker
            .client
            .submit_to(world.servers.len(), ServerVerb::Version, None, 0, world.now)
            .expect_err("no such server");
        assert_eq!(nowhere.error, Error::NoSuchServer);
        let size = world.worker.client.config().max_value + 1;
        let value = Bytes::from(vec![0; size]);
        let verb = Verb::Store { mode: StoreMode::Set, value, flags: 1, ttl: Ttl::NEVER, cas: 0 };
        let error = world
            .worker
            .client
            .submit(Request { key: b"k", verb, timeout: None }, 0, world.now)
            .expect_err("too large");
        assert!(matches!(error.error, Error::TooLarge { .. }));
        let error = world.worker.client.refuse_value(Subset::ALL, b"k", size, 0, world.now).error;
        assert!(matches!(error, Error::TooLarge { .. }));
        world.obey();
    }

    fn timeout(&self, rng: &mut Rng) -> Option<Duration> {
        match rng.u8(..) {
            _ if self.patient => Some(Duration::from_secs(2)),
            0 => Some(Duration::ZERO),
            n if n < 80 && self.own_timeouts => Some(Duration::from_micros(rng.u64(1..3_000_000))),
            _ => None,
        }
    }

    /// The operation, with its number where a server sees it.
    fn verb(&self, rng: &mut Rng, number: u64, key: usize) -> Verb {
        let small = u32::try_from(number).expect("it is checked");
        let ttl = Ttl::secs(small, 0);
        let cas = self.seen[key];
        let wait = rng.bool();
        match rng.u8(..) {
            n if n < self.leases => Verb::Lease { vivify: NonZeroU32::MAX, recache: 0, wait },
            90..100 if self.leases > 0 => Verb::Invalidate { ttl: None, cas: if rng.bool() { cas } else { 0 } },
            80..85 => Verb::Inspect,
            0..100 => Verb::Get { touch: None },
            100..110 => Verb::Get { touch: Some(ttl) },
            110..120 => Verb::Touch { ttl: if wait { ttl } else { Ttl::secs(OF_BATCH, 0) } },
            120..135 => Verb::Delete { cas: if rng.bool() { cas } else { 0 } },
            135..165 => Verb::Count {
                direction: if rng.bool() { Direction::Incr } else { Direction::Decr },
                delta: number,
                initial: (rng.bool() && !self.in_text).then(|| (rng.u64(..), Ttl::NEVER)),
                cas: if rng.u8(..) < 64 { cas } else { 0 },
            },
            n => {
                let mode = match n {
                    165..170 => StoreMode::Add,
                    170..175 => StoreMode::Replace,
                    175..180 => StoreMode::Append,
                    180..185 => StoreMode::Prepend,
                    _ => StoreMode::Set,
                };
                let cas = if n >= 240 || (180..182).contains(&n) { cas } else { 0 };
                let value = value(number, self.sizes[rng.usize(..self.sizes.len())]);
                Verb::Store { mode, value, flags: small, ttl: Ttl::NEVER, cas }
            }
        }
    }
}
