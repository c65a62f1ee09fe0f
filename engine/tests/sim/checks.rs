//! What was promised: kept track of from outside, and checked after every step.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use memcache_engine::{Config, Error, Failover, Instant, Item, Lease, Outcome, Part, Verb};

use self::on_server::check_on_server;
use crate::op::{Lane, Op, Order};

mod on_server;
mod stood;

/// What a server has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub cas: u64,
    pub flags: u32,
    pub value: Bytes,
    /// It is to be made anew: only who asks for a lease sees it.
    pub stale: bool,
}

impl Version {
    /// What a lease get is told of that it cannot use for long.
    fn stale(item: &Item) -> Self {
        Version { stale: true, ..Version::from(item) }
    }

    /// Whether a read finds nothing where this is.
    fn is_missed(version: &Option<Self>) -> bool {
        version.as_ref().is_none_or(|version| version.stale)
    }
}

/// From when on a key stood for what.
type Timeline = VecDeque<(Instant, Option<Version>)>;

/// What a server did for an operation: the how manieth it was of all, and when.
#[derive(Debug)]
struct Applied {
    turn: u64,
    at: Instant,
    outcome: Outcome,
}

impl From<&Item> for Version {
    fn from(item: &Item) -> Self {
        Version { cas: item.cas, flags: item.flags, value: item.value.clone(), stale: false }
    }
}

/// So much earlier.
fn before(at: Instant, time: Duration) -> Instant {
    Instant::from_micros(at.as_micros().saturating_sub(time.as_micros() as u64))
}

/// Operations that the client has accepted, what the servers did, and what may be said about it.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By number, so in the order in which they were submitted. The number is also in the request, where a server sees
    /// it: as flags, delta or expiry.
    ops: BTreeMap<u64, Op>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// What was submitted, also of operations that have ended.
    tagged: HashMap<u64, (Vec<u8>, Option<Bytes>)>,
    /// What a server did for an operation, and when.
    applied: HashMap<u64, Applied>,
    /// Writes without an answer, and when the last one with an answer was carried out.
    writes: HashMap<Lane, BTreeSet<u64>>,
    floors: HashMap<Lane, Instant>,
    /// When a key's empty place was removed last.
    vacated: HashMap<Vec<u8>, Instant>,
    /// How many writes of any kind are under way, and when the last one ended.
    traffic: HashMap<Lane, (usize, Instant)>,
    /// Writes that were answered.
    answered: HashSet<u64>,
    /// Operations that have no answer, by worker.
    pending: HashMap<usize, usize>,
    /// Gets may share the exchange of one that was submitted so long before.
    shared: Duration,
    /// Clients have written by themselves, of which the ledger knows nothing.
    pub hands_back: bool,
    /// Some servers speak text, and cannot do all that is asked of them.
    pub in_text: bool,
    /// A key may be on several servers, and is carried out in order on none.
    pub roams: bool,
    /// The list of servers changes: a key may go to one server after the other.
    pub moves: bool,
    /// Operations of which the client said that no server will carry them out.
    disowned: HashSet<u64>,
    /// What each key stood for, from when on.
    timelines: HashMap<Vec<u8>, BTreeMap<usize, Timeline>>,
    homes: HashMap<Vec<u8>, usize>,
    /// Somebody meddles with replies. If not, nothing may look as if.
    pub meddled: bool,
    /// Misses that carry no token may be taken for each other when one is lost.
    pub vague_misses: bool,
    /// The server whose answer is looked at.
    answers_from: usize,
    /// Operations that ended, by what they ended with.
    pub tally: BTreeMap<&'static str, u64>,
}

impl Ledger {
    pub fn new(config: &Config) -> Self {
        let shared = if config.coalesce { config.timeout } else { Duration::ZERO };
        Ledger { shared, roams: config.failover != Failover::Off, ..Ledger::default() }
    }

    /// Operations of a worker that have not been answered.
    pub fn pending_of(&self, worker: usize) -> usize {
        self.pending.get(&worker).copied().unwrap_or(0)
    }

    /// Operations that have not been answered.
    pub fn outstanding(&self) -> &BTreeMap<u64, Op> {
        &self.ops
    }

    pub fn accepted(&mut self, number: u64, mut op: Op) {
        *self.pending.entry(op.worker).or_default() += 1;
        if op.verb.is_some() && !self.roams {
            let lane = op.lane();
            let behind = self.writes.get(&lane).map(|writes| writes.iter().copied().collect());
            let floor = self.floors.get(&lane).copied().unwrap_or_default();
            op.order = Order { behind: behind.unwrap_or_default(), floor };
            if op.is_tracked() {
                self.writes.entry(lane).or_default().insert(number);
            }
        }
        if op.is_write() {
            self.traffic.entry(op.lane()).or_default().0 += 1;
        }
        if let Some(verb) = &op.verb {
            let value = match verb {
                Verb::Store { value, .. } => Some(value.clone()),
                _ => None,
            };
            self.tagged.insert(number, (op.key.clone(), value));
        }
        self.deadlines.insert((op.latest, number));
        self.ops.insert(number, op);
    }

    pub fn cancelled(&mut self, number: u64, now: Instant) {
        self.take(number, now);
        self.count("cancelled");
    }

    fn take(&mut self, number: u64, now: Instant) -> Op {
        let op = self.ops.remove(&number).unwrap_or_else(|| panic!("operation {number} ended before"));
        self.deadlines.remove(&(op.latest, number));
        *self.pending.entry(op.worker).or_default() -= 1;
        if let Some(writes) = self.writes.get_mut(&op.lane()) {
            writes.remove(&number);
        }
        if op.is_write() {
            let (writes, ended) = self.traffic.entry(op.lane()).or_default();
            (*writes, *ended) = (*writes - 1, now);
        }
        op
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// The next deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// The worker got no time for so long: what large values are in the way of may have to wait for as much longer.
    pub fn put_off(&mut self, time: Duration) {
        if time > Duration::ZERO {
            let patient = self.ops.values_mut().filter(|op| op.latest > op.deadline);
            patient.for_each(|op| op.latest = op.latest.after(time));
            self.deadlines = self.ops.iter().map(|(&number, op)| (op.latest, number)).collect();
        }
    }

    /* what the servers do */

    /// A request for the key has come to this server.
    pub fn seen(&mut self, key: &[u8], server: usize) {
        if self.roams || self.moves {
            return;
        }
        let home = *self.homes.entry(key.to_vec()).or_insert(server);
        assert_eq!(home, server, "a key went to two servers");
    }

    /// The key stands for something else on this server from now on.
    pub fn changed(&mut self, server: usize, key: &[u8], version: Option<Version>, now: Instant) {
        let oldest = self.ops.first_key_value().map_or(now, |(_, op)| before(op.submitted, self.shared));
        let new = || [(Instant::default(), None)].into();
        let timeline = self.timelines.entry(key.to_vec()).or_default().entry(server).or_insert_with(new);
        timeline.push_back((now, version));
        while timeline.get(1).is_some_and(|&(until, _)| until < oldest) {
            timeline.pop_front();
        }
    }

    /// The key's place, which somebody was told to fill, was removed.
    pub fn vacated(&mut self, key: &[u8], now: Instant) {
        self.vacated.insert(key.to_vec(), now);
    }

    /// A server has carried an operation out.
    pub fn applied(&mut self, number: u64, key: &[u8], value: Option<&Bytes>, outcome: Outcome, now: Instant) {
        let (submitted, sent) = self.tagged.get(&number).expect("an operation that was submitted");
        assert_eq!(submitted, key, "operation {number} has another key");
        assert_eq!(sent.as_ref(), value, "operation {number} has another value");
        assert!(!self.disowned.contains(&number), "operation {number} is carried out, and was said not to be");
        let turn = self.applied.len() as u64;
        let before = self.applied.insert(number, Applied { turn, at: now, outcome });
        assert!(before.is_none(), "operation {number} is carried out twice");
    }

    /* what the client says */

    pub fn completed(&mut self, number: u64, server: usize, answer: &Result<Outcome, Error>, now: Instant) {
        self.answers_from = server;
        let op = self.take(number, now);
        let writes = op.is_write();
        match answer {
            Ok(outcome) => {
                self.count("answered");
                let from = self.check_order(number, &op);
                self.check_outcome(number, &op, outcome, from, now);
                if op.is_tracked() {
                    self.answered.insert(number);
                    if let Some(applied) = self.applied.get(&number).filter(|_| !op.moved) {
                        let floor = self.floors.entry(op.lane()).or_default();
                        *floor = applied.at.max(*floor);
                    }
                }
            }
            Err(error) => {
                self.count(match error {
                    Error::NotSent => "not sent",
                    Error::Unknown { .. } => "unknown",
                    Error::Timeout { .. } => "timeout",
                    Error::ServerDown => "down",
                    Error::Server(_) => "server error",
                    Error::Client(_) => "client error",
                    Error::Protocol { .. } => "protocol",
                    Error::Shutdown { .. } => "shutdown",
                    Error::TooLarge { .. } => "too large",
                    Error::Unsupported(_) | Error::InvalidKey(_) if self.in_text => "unsupported",
                    Error::NoSuchServer if op.on_server.is_some() && self.moves => "no such server",
                    Error::Busy if op.waits_for_others() || self.follows_writes(&op) => "busy",
                    other => panic!("operation {number} ended with {other:?}"),
                });
                self.check_error(&op, error, now);
                assert!(writes || !error.maybe_applied(), "a read was applied: {error:?}");
                // A server's own word can be lost or given to another operation; the client's cannot.
                let vouched = match error {
                    Error::Server(_) | Error::Client(_) => !self.meddled,
                    // The value of a get-and-touch: it was touched.
                    Error::TooLarge { .. } => false,
                    _ => true,
                };
                if writes && !error.maybe_applied() && vouched {
                    assert!(!self.applied.contains_key(&number), "operation {number} was carried out: {error:?}");
                    self.disowned.insert(number);
                }
            }
        }
    }

    /// Whether writes of its key were under way while it was: it may have had to follow them where there was no room.
    fn follows_writes(&self, op: &Op) -> bool {
        let traffic = self.traffic.get(&op.lane()).copied();
        self.roams
            || self.moves
            || self.hands_back
            || traffic.is_some_and(|(writes, ended)| writes > 0 || ended >= op.submitted)
    }

    fn check_error(&self, op: &Op, error: &Error, now: Instant) {
        match error {
            Error::Timeout { .. } => assert!(now >= op.deadline, "timed out before its deadline"),
            Error::Protocol { .. } => assert!(self.meddled, "the server kept to the protocol"),
            Error::TooLarge { size, limit } => {
                assert!(size > limit, "{size} is not too large");
                assert!(matches!(op.verb, Some(Verb::Get { .. } | Verb::Lease { .. }) | None));
            }
            _ => {}
        }
    }

    /// What was submitted for the key before has been carried out before; returns from when on what it saw has stood.
    fn check_order(&self, number: u64, op: &Op) -> Instant {
        let mut from = before(op.submitted, self.shared).max(op.order.floor);
        let own = self.applied.get(&number).filter(|_| op.is_tracked());
        for first in &op.order.behind {
            assert!(!self.ops.contains_key(first), "operation {number} was answered before {first}");
            // One that ended without an answer may be carried out at any time.
            let Some(applied) = self.applied.get(first).filter(|_| self.answered.contains(first)) else { continue };
            if let Some(own) = own {
                assert!(applied.turn < own.turn, "operation {number} was carried out before {first}");
            }
            from = from.max(applied.at);
        }
        from
    }

    fn check_outcome(&self, number: u64, op: &Op, outcome: &Outcome, from: Instant, now: Instant) {
        let stood = |what: &dyn Fn(&Option<Version>) -> bool| self.stood(&op.key, from, what);
        match (&op.verb, outcome) {
            (None, Outcome::Many(parts)) => {
                assert_eq!(parts.len(), op.many.len());
                for (key, part) in op.many.iter().zip(parts).filter(|_| !self.moves) {
                    self.check_part(key, part, before(op.submitted, self.shared), op);
                }
            }
            (Some(Verb::Lease { .. }), Outcome::Lease(lease)) => self.check_lease(op, lease, now),
            (None, outcome) if op.on_server.is_some() => check_on_server(number, op, outcome),
            (Some(Verb::Get { .. }), Outcome::Item(item)) => {
                let version = Some(Version::from(item));
                assert!(stood(&|v| *v == version), "operation {number}: this was never under {:?}", op.key);
            }
            (Some(Verb::Get { .. }), Outcome::Miss) => {
                assert!(self.vague_misses || stood(&Version::is_missed), "operation {number}: there was an item");
            }
            (Some(Verb::Inspect), Outcome::Metadata(seen)) => {
                let is = |v: &Version| {
                    (v.cas, v.flags, v.value.len(), v.stale) == (seen.cas, seen.flags, seen.size, seen.stale)
                };
                assert!(stood(&|v| v.as_ref().is_some_and(is)), "operation {number}: {seen:?}");
            }
            (Some(Verb::Inspect), Outcome::Miss) => {
                // What is stale and empty looks like the place of an item that is being made.
                let missed = stood(&|v| v.as_ref().is_none_or(|v| v.stale && v.value.is_empty()));
                assert!(self.vague_misses || missed, "operation {number}: there was an item");
            }
            (Some(Verb::Delete { .. } | Verb::Invalidate { .. }), Outcome::Done) => {
                let place = self.vacated.get(&op.key).is_some_and(|&at| at >= op.submitted);
                assert!(place || stood(&Option::is_some), "operation {number}: there was nothing to delete");
            }
            (Some(Verb::Delete { .. } | Verb::Invalidate { .. }), Outcome::Miss) => assert!(stood(&Option::is_none)),
            (Some(Verb::Delete { cas } | Verb::Invalidate { cas, .. }), Outcome::Exists) => {
                assert!(stood(&|v| v.as_ref().is_some_and(|v| v.cas != *cas)));
            }
            (Some(Verb::Touch { .. }), Outcome::Miss) if self.vague_misses => {}
            (Some(Verb::Touch { .. }), Outcome::Miss | Outcome::Done) if !op.is_tracked() => {}
            (Some(_), outcome) => {
                let Applied { at, outcome: done, .. } = self.applied.get(&number).expect("the server has seen it");
                assert_eq!(outcome, done, "operation {number}: the server answered otherwise");
                assert!((op.submitted..=now).contains(at), "operation {number} was answered before it was submitted");
            }
            (None, outcome) => panic!("a batch is {outcome:?}"),
        }
    }

    fn check_part(&self, key: &[u8], part: &Part, from: Instant, op: &Op) {
        match &part.answer {
            Ok(Outcome::Item(item)) => {
                let version = Some(Version::from(item));
                assert!(self.stood(key, from, &|v| *v == version), "this was never under {key:?}");
            }
            Ok(Outcome::Miss) => {
                assert!(self.vague_misses || self.stood(key, from, &Version::is_missed), "there was {key:?}");
            }
            Err(error) => self.check_error(op, error, op.deadline),
            other => panic!("a part is {other:?}"),
        }
    }

    fn check_lease(&self, op: &Op, lease: &Lease, now: Instant) {
        let from = before(op.submitted, self.shared);
        let stood = |version| self.stood(&op.key, from, &|v| v.as_ref() == Some(&version));
        match lease {
            Lease::Hit(item) => assert!(stood(Version::from(item)), "this was never under {:?}", op.key),
            Lease::Won { old: Some(item), stale: true, .. } | Lease::Lost { old: Some(item), .. } => {
                assert!(stood(Version::stale(item)), "this was never stale under {:?}", op.key);
            }
            // An empty one is as good as none.
            &Lease::Won { old: None, stale: true, cas } => {
                let is = |v: &Version| v.stale && v.cas == cas && v.value.is_empty();
                assert!(self.stood(&op.key, from, &|v| v.as_ref().is_some_and(is)), "this was never stale");
            }
            Lease::Won { old, .. } => assert!(old.is_none(), "nothing is about to expire here"),
            Lease::Lost { old: None, .. } => {
                assert!(!op.waits_for_others() || now >= op.deadline, "it did not wait");
            }
        }
    }
}
