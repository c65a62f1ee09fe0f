//! The operations that can be submitted.

use std::num::NonZeroU32;
use std::time::Duration;

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use bytes::Bytes;
use memcache_engine::{
    Asker, CallId, Client, Direction, DiscoverBy, Instant, Rejected, Request, ServerVerb, StoreMode, Subset, Ttl, Verb,
};

use crate::script::Script;

/// The operations, by their letters in a script. A letter that is none stands for one of them too.
const LETTERS: &[u8] = b"gGlLmsfarpPdDxXiIjtnvSFcC";

/// Each operation has a number, which is in its key: so it shows to whom a reply belongs. Some have the same key.
pub struct Op {
    letter: u8,
    number: u64,
    key: Vec<u8>,
    size: usize,
    timeout: Option<Duration>,
}

impl Op {
    /// Reads the letter, what sort of key it is, and how large a value.
    pub fn read(script: &mut Script<'_>, number: u64, timeout: Option<Duration>) -> Op {
        let letter = script.letter();
        let letter = *LETTERS.iter().find(|&&l| l == letter).unwrap_or(&LETTERS[usize::from(letter) % LETTERS.len()]);
        let (sort, size) = match script.number() {
            // A digit says both.
            digit @ 0..=9 => (0, [0, 1, 2, 10, 100, 4096, 4097, 20_000, 70_000, 200_000][digit]),
            other => (other % 8, other / 8),
        };
        let key = match sort {
            1 => format!("\x01\r\n{number}").into_bytes(),
            2 => format!("{number:x<240}").into_bytes(),
            3 => Vec::new(),
            4 => vec![b'x'; 251],
            5 => b"shared".to_vec(),
            _ => format!("k{number}").into_bytes(),
        };
        Op { letter, number, key, size, timeout }
    }

    /// A get, of which only the sort of its key is read.
    pub fn get(script: &mut Script<'_>, number: u64) -> Op {
        let mut op = Op::read(&mut Script::new(b"g"), number, None);
        op.key = match script.number() % 4 {
            0 => b"shared".to_vec(),
            1 => Vec::new(),
            n => format!("k{number}.{n}").into_bytes(),
        };
        op
    }

    /// Whether it has a reply of its own, and ends with it.
    pub fn is_plain(&self) -> bool {
        self.letter != b'L' && self.key != b"shared"
    }

    /// Whether nothing is sent behind it until it is answered.
    pub fn goes_alone(&self) -> bool {
        self.server_verb().is_some_and(ServerVerb::is_alone)
    }

    /// The key as the server sees it; `None`: it is the server that is asked.
    pub fn wire_key(&self, prefix: &[u8]) -> Option<Vec<u8>> {
        if self.server_verb().is_some() {
            return None;
        }
        let raw = [prefix, &self.key].concat();
        let binary = raw.iter().any(|&b| b <= b' ' || b == 0x7f);
        Some(if binary { STANDARD.encode(raw).into_bytes() } else { raw })
    }

    fn server_verb(&self) -> Option<ServerVerb> {
        match self.letter {
            b'n' => Some(ServerVerb::Noop),
            b'v' => Some(ServerVerb::Version),
            b'S' => Some(ServerVerb::Stats),
            b'F' => Some(ServerVerb::FlushAll { delay: self.size as u32 }),
            b'c' => Some(ServerVerb::Discover { by: DiscoverBy::Config }),
            b'C' => Some(ServerVerb::Discover { by: DiscoverBy::Item }),
            _ => None,
        }
    }

    /// The same key for a get.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub fn submit(self, client: &mut Client<u64>, subset: Subset, now: Instant) -> Result<CallId, Rejected<u64>> {
        if let Some(verb) = self.server_verb() {
            // Also to servers that there are not.
            return client.submit_to(self.size % 3, verb, self.timeout, self.number, now);
        }
        let Op { letter, number, key, size, timeout } = self;
        let ttl = Ttl::secs(60, 0);
        let store = |mode, cas| {
            let flags = u32::try_from(size).unwrap_or(0);
            Verb::Store { mode, value: Bytes::from(vec![b'v'; size]), flags, ttl, cas }
        };
        let count = |direction, initial| Verb::Count { direction, delta: 1, initial, cas: 0 };
        let verb = match letter {
            b'g' => Verb::Get { touch: None },
            b'G' => Verb::Get { touch: Some(ttl) },
            b's' => store(StoreMode::Set, 0),
            b'f' => store(StoreMode::Set, 7),
            b'a' => store(StoreMode::Add, 0),
            b'r' => store(StoreMode::Replace, 0),
            b'p' => store(StoreMode::Append, 0),
            b'P' => store(StoreMode::Prepend, 0),
            b'd' => Verb::Delete { cas: 0 },
            b'D' => Verb::Delete { cas: 7 },
            b'i' => count(Direction::Incr, None),
            b'I' => count(Direction::Incr, Some((1, ttl))),
            b'j' => count(Direction::Decr, None),
            b'l' => Verb::Lease { vivify: NonZeroU32::MIN, recache: 0, wait: false },
            b'L' => Verb::Lease { vivify: NonZeroU32::MAX, recache: 9, wait: false },
            b'w' => Verb::Lease { vivify: NonZeroU32::MIN, recache: 0, wait: true },
            b'm' => Verb::Inspect,
            b'x' => Verb::Invalidate { ttl: Some(ttl), cas: 0 },
            b'X' => Verb::Invalidate { ttl: None, cas: 7 },
            _ => Verb::Touch { ttl },
        };
        let modules = [None, client.module(b"one"), client.module(b"two")];
        let module = modules[usize::from(letter) % modules.len()].unwrap_or_default();
        let asker = Asker { subset, module };
        client.submit_within(asker, Request { key: &key, verb, timeout }, number, now)
    }
}
