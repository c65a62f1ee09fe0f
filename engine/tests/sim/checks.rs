//! What was promised: kept track of from outside, and checked after every step.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use memcache_engine::{CallId, Error, Instant, Item, Outcome, Verb};

/// What a server has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub cas: u64,
    pub flags: u32,
    pub value: Bytes,
}

/// An operation that has not been answered.
#[derive(Debug)]
pub struct Op {
    pub call: CallId,
    /// With the prefix; empty: the version of a server.
    pub key: Vec<u8>,
    pub verb: Option<Verb>,
    pub submitted: Instant,
    pub deadline: Instant,
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
    applied: HashMap<u64, (Instant, Outcome)>,
    /// Operations of which the client said that no server will carry them out.
    disowned: HashSet<u64>,
    /// What each key stood for, from when on.
    timelines: HashMap<Vec<u8>, VecDeque<(Instant, Option<Version>)>>,
    homes: HashMap<Vec<u8>, usize>,
    /// Somebody meddles with replies. If not, nothing may look as if.
    pub meddled: bool,
    /// Misses that carry no token may be taken for each other when one is lost.
    pub vague_misses: bool,
    /// Operations that ended, by what they ended with.
    pub tally: BTreeMap<&'static str, u64>,
}

impl Ledger {
    /// Operations that have not been answered.
    pub fn outstanding(&self) -> &BTreeMap<u64, Op> {
        &self.ops
    }

    pub fn accepted(&mut self, number: u64, op: Op) {
        if let Some(verb) = &op.verb {
            let value = match verb {
                Verb::Store { value, .. } => Some(value.clone()),
                _ => None,
            };
            self.tagged.insert(number, (op.key.clone(), value));
        }
        self.deadlines.insert((op.deadline, number));
        self.ops.insert(number, op);
    }

    pub fn cancelled(&mut self, number: u64) {
        self.take(number);
        self.count("cancelled");
    }

    fn take(&mut self, number: u64) -> Op {
        let op = self.ops.remove(&number).unwrap_or_else(|| panic!("operation {number} ended before"));
        self.deadlines.remove(&(op.deadline, number));
        op
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// The next deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /* what the servers do */

    /// A request for the key has come to this server.
    pub fn seen(&mut self, key: &[u8], server: usize) {
        let home = *self.homes.entry(key.to_vec()).or_insert(server);
        assert_eq!(home, server, "a key went to two servers");
    }

    /// The key stands for something else from now on.
    pub fn changed(&mut self, key: &[u8], version: Option<Version>, now: Instant) {
        let oldest = self.ops.first_key_value().map_or(now, |(_, op)| op.submitted);
        let timeline = self.timelines.entry(key.to_vec()).or_insert_with(|| [(Instant::default(), None)].into());
        timeline.push_back((now, version));
        while timeline.get(1).is_some_and(|&(until, _)| until < oldest) {
            timeline.pop_front();
        }
    }

    /// A server has carried an operation out.
    pub fn applied(&mut self, number: u64, key: &[u8], value: Option<&Bytes>, outcome: Outcome, now: Instant) {
        let (submitted, sent) = self.tagged.get(&number).expect("an operation that was submitted");
        assert_eq!(submitted, key, "operation {number} has another key");
        assert_eq!(sent.as_ref(), value, "operation {number} has another value");
        assert!(!self.disowned.contains(&number), "operation {number} is carried out, and was said not to be");
        let before = self.applied.insert(number, (now, outcome));
        assert_eq!(before, None, "operation {number} is carried out twice");
    }

    /* what the client says */

    pub fn completed(&mut self, number: u64, answer: &Result<Outcome, Error>, now: Instant) {
        let op = self.take(number);
        let writes = op.verb.as_ref().is_some_and(Verb::is_write);
        match answer {
            Ok(outcome) => {
                self.count("answered");
                self.check_outcome(number, &op, outcome, now);
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

    fn check_error(&self, op: &Op, error: &Error, now: Instant) {
        match error {
            Error::Timeout { .. } => assert!(now >= op.deadline, "timed out before its deadline"),
            Error::Protocol { .. } => assert!(self.meddled, "the server kept to the protocol"),
            Error::TooLarge { size, limit } => {
                assert!(size > limit && matches!(op.verb, Some(Verb::Get { .. })), "{size} is not too large");
            }
            _ => {}
        }
    }

    fn check_outcome(&self, number: u64, op: &Op, outcome: &Outcome, now: Instant) {
        let stood = |what: &dyn Fn(&Option<Version>) -> bool| self.stood(&op.key, op.submitted, what);
        match (&op.verb, outcome) {
            (None, Outcome::Text(text)) => assert!(text.starts_with(b"1.6."), "{text:?}"),
            (Some(Verb::Get { .. }), Outcome::Item(item)) => {
                let Item { value, flags, cas } = item.clone();
                let version = Some(Version { cas, flags, value });
                assert!(stood(&|v| *v == version), "operation {number}: this was never under {:?}", op.key);
            }
            (Some(Verb::Get { .. }), Outcome::Miss) => {
                assert!(self.vague_misses || stood(&Option::is_none), "operation {number}: there was an item");
            }
            (Some(Verb::Delete { .. }), Outcome::Done) => assert!(stood(&Option::is_some)),
            (Some(Verb::Delete { .. }), Outcome::Miss) => assert!(stood(&Option::is_none)),
            (Some(Verb::Delete { cas }), Outcome::Exists) => {
                assert!(stood(&|v| v.as_ref().is_some_and(|v| v.cas != *cas)));
            }
            (Some(Verb::Touch { .. }), Outcome::Miss) if self.vague_misses => {}
            (Some(_), outcome) => {
                let (at, done) = self.applied.get(&number).expect("the server has seen it");
                assert_eq!(outcome, done, "operation {number}: the server answered otherwise");
                assert!((op.submitted..=now).contains(at), "operation {number} was answered before it was submitted");
            }
            (None, outcome) => panic!("a version is {outcome:?}"),
        }
    }

    /// Whether the key stood for such a thing at any time since `from`.
    fn stood(&self, key: &[u8], from: Instant, what: &dyn Fn(&Option<Version>) -> bool) -> bool {
        let Some(timeline) = self.timelines.get(key) else { return what(&None) };
        let ends = timeline.iter().skip(1).map(|&(until, _)| Some(until)).chain([None]);
        timeline.iter().zip(ends).any(|((_, version), until)| until.is_none_or(|until| until >= from) && what(version))
    }
}
