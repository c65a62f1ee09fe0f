//! A model of memcached: the part of the meta protocol that the client speaks, and no tolerance for anything else.

use std::collections::{BTreeMap, BTreeSet};

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use bytes::{Buf, Bytes};
use fastrand::Rng;
use memcache_engine::{Instant, Loss, Outcome, MAX_KEY};

use crate::checks::{Ledger, Version};
use crate::command::Command;
use crate::network::{Link, Weather};
use crate::op::OF_BATCH;
use crate::session::{Mishap, Session};

mod access;
mod endpoint;
mod leases;
mod life;
mod loss;
mod text;

pub use access::{credentials, Access};
pub use endpoint::list;
pub use life::BACKUP_TTL;
pub use text::Speaks;

/// From here on, a life is one that this has said, and not the tag of an operation.
pub const LIVES: u64 = 2_000_000;

/// What is in a key that new connections try the server with.
const GREETING: &[u8] = b"ngx_http_memcache greeting";

/// What is behind the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Memcached,
    /// Nobody: connects are refused.
    Nobody,
    /// Connects are not answered at all.
    Blackhole,
    /// memcached with as many connections as it is allowed.
    OverLimit,
    /// Something else, which answers this to whatever it is asked.
    Other(&'static [u8]),
    /// Something that accepts and says nothing.
    Mute,
    /// Something that answers the handshake and then hangs up.
    Fickle,
}

#[derive(Debug)]
pub struct Server {
    id: usize,
    pub mode: Mode,
    /// Stopped: it takes no byte and answers nothing, but its sockets live.
    pub stalled: bool,
    /// Its misses carry no flags, as before memcached 1.6.22.
    pub bare_misses: bool,
    /// What it understands.
    pub speaks: Speaks,
    /// What it requires.
    pub access: Access,
    /// The largest value it takes.
    pub item_limit: usize,
    pub weather: Weather,
    /// It stands in for others, and nothing lives there for long.
    pub backup: bool,
    /// Addresses of it that are no good.
    pub dead_addresses: usize,
    /// Requests carried out.
    pub requests: u64,
    items: BTreeMap<Vec<u8>, Version>,
    /// Items that somebody was told to make: their versions, and until when.
    vacant: BTreeMap<Vec<u8>, (u64, Instant)>,
    /// Versions of stale items that somebody was told to make.
    leased: BTreeSet<u64>,
    /// Keys of items that it has made by itself: it names these as they are, whatever their bytes, as memcached does.
    made: BTreeSet<Vec<u8>>,
    versions: u64,
}

impl Server {
    pub fn new(id: usize, weather: Weather) -> Self {
        Server {
            id,
            mode: Mode::Memcached,
            stalled: false,
            bare_misses: false,
            speaks: Speaks::Meta,
            access: Access::Open,
            item_limit: usize::MAX,
            weather,
            backup: false,
            dead_addresses: 0,
            requests: 0,
            items: BTreeMap::new(),
            vacant: BTreeMap::new(),
            leased: BTreeSet::new(),
            made: BTreeSet::new(),
            versions: 0,
        }
    }

    /// Does what it can do for a connection now.
    pub fn serve(&mut self, id: usize, link: &mut Link, ledger: &mut Ledger, rng: &mut Rng, now: Instant) {
        if self.stalled || link.lost || link.end.is_some() {
            return;
        }
        loop {
            let (front, _) = link.session.output.as_slices();
            let sent = link.down.send(front, &self.weather, now, rng);
            link.session.output.drain(..sent);
            if !link.session.output.is_empty() {
                // Like memcached, it reads on when its replies are gone.
                if sent == 0 {
                    return;
                }
                continue;
            }
            if link.session.over {
                return link.hang_up(Loss::Eof, false, now);
            }
            let readable = link.up.readable();
            link.up.read(&mut link.session.input, readable);
            if !self.answer(id, &mut link.session, ledger, now) {
                return;
            }
        }
    }

    /// Answers a request, if one is there. True if it did anything.
    fn answer(&mut self, id: usize, session: &mut Session, ledger: &mut Ledger, now: Instant) -> bool {
        let greeted = std::mem::replace(&mut session.greeted, true);
        match self.mode {
            Mode::OverLimit if !greeted => {
                session.output.extend(b"ERROR Too many open connections\r\n");
                session.over = true;
                return true;
            }
            Mode::Other(text) if !session.input.is_empty() => {
                session.input.clear();
                session.output.extend(text);
                session.over = true;
                return true;
            }
            Mode::Other(_) | Mode::Mute => return false,
            _ => {}
        }
        if self.is_closed_to(session) {
            return self.authenticate(session);
        }
        let swallowed = session.swallow.min(session.input.len());
        session.input.advance(swallowed);
        session.swallow -= swallowed;
        let Some(end) = memchr::memchr(b'\n', &session.input) else {
            assert!(session.input.len() < 2048, "a request line without an end");
            return false;
        };
        let line = session.input[..=end].to_vec();
        if session.mishap == Some(Mishap::ClientError) && !text::has_value(&line) {
            session.mishap = None;
            session.input.advance(line.len());
            session.output.extend(b"CLIENT_ERROR bad command line format\r\n");
            return true;
        }
        let Some(reply) = self.execute(id, &line, session, ledger, now) else { return false };
        self.requests += 1;
        session.emit(reply);
        session.over |= self.mode == Mode::Fickle;
        true
    }

    /// Carries out what is about no key.
    fn execute_alone(&mut self, id: usize, text: &[u8], ledger: &mut Ledger, now: Instant) -> Option<Vec<u8>> {
        Some(match text {
            b"mn" => b"MN\r\n".to_vec(),
            b"version" => self.version(id),
            b"stats" => b"STAT pid 1\r\nSTAT uptime 2\r\nEND\r\n".to_vec(),
            b"flush_all" => {
                self.forget(ledger, now);
                b"OK\r\n".to_vec()
            }
            _ => return None,
        })
    }

    /// Carries out the request at the front of the input, and takes it from there; `None`: not all of it has come.
    fn execute(
        &mut self,
        id: usize,
        line: &[u8],
        session: &mut Session,
        ledger: &mut Ledger,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let text = line.strip_suffix(b"\r\n").expect("CRLF");
        if let Some(last) = self.speaks.closes(text) {
            if self.speaks == Speaks::MetaProxy {
                assert_eq!(session.input.len(), line.len(), "something was sent behind what goes alone");
            }
            session.input.clear();
            session.over = true;
            return Some(last.to_vec());
        }
        if let Some(reply) = self.discover(id, text) {
            session.input.advance(line.len());
            return Some(reply);
        }
        if !self.speaks.is_meta() || text::is_get(text) {
            return self.execute_text(id, line, session, ledger, now);
        }
        if let Some(reply) = self.execute_alone(id, text, ledger, now) {
            session.input.advance(line.len());
            return Some(reply);
        }
        let words: Vec<&[u8]> = text.split(|&b| b == b' ').collect();
        let wire = words[1];
        assert!((1..=MAX_KEY).contains(&wire.len()) && wire.iter().all(|&b| b > 0x20 && b != 0x7f), "a bad key");
        let mut flags: Vec<&str> = words[2..].iter().map(|w| std::str::from_utf8(w).expect("flags are text")).collect();
        let mut size = None;
        if words[0] == b"ms" {
            size = Some(flags.remove(0).parse::<usize>().expect("a length"));
        }
        let key = if flags.contains(&"b") { STANDARD.decode(wire).expect("base64") } else { wire.to_vec() };
        if memchr::memmem::find(&key, GREETING).is_some() {
            // What a new connection tries; the item's second is over before anybody could ask for it.
            assert_eq!(size.unwrap_or(0), 0, "a try has no value");
            let whole = line.len() + size.map_or(0, |_| 2);
            if session.input.len() < whole {
                return None;
            }
            session.input.advance(whole);
            let command = Command { word: "", key, flags };
            return Some(command.line(if size.is_some() { "HD" } else { "EN" }));
        }
        let command = Command { word: std::str::from_utf8(words[0]).expect("a command"), key, flags };
        ledger.seen(&command.key, id);
        self.check_life(&command);
        let Some(size) = size else {
            session.input.advance(line.len());
            return Some(match command.word {
                "mg" => self.get(&command, session, ledger, now),
                "md" => self.delete_or_mark(&command, ledger, now),
                "ma" => self.count(&command, ledger, now),
                word => panic!("an unknown command: {word}"),
            });
        };
        assert_eq!(command.word, "ms");
        let value = match self.take_value(&command, size, line, session, ledger, now)? {
            Ok(value) => value,
            Err(refusal) => return Some(refusal),
        };
        Some(self.store(&command, value, ledger, now))
    }

    /// Takes the value of a store, or refuses it; `None`: it has not all come.
    fn take_value(
        &mut self,
        command: &Command,
        size: usize,
        line: &[u8],
        session: &mut Session,
        ledger: &mut Ledger,
        now: Instant,
    ) -> Option<Result<Bytes, Vec<u8>>> {
        let early = session.mishap == Some(Mishap::Refuse { early: true });
        if early || session.mishap == Some(Mishap::Refuse { early: false }) || size > self.item_limit {
            if !early && session.input.len() < line.len() + size + 2 {
                return None;
            }
            session.input.advance(line.len());
            session.swallow = size + 2;
            if size > self.item_limit && self.items.remove(&command.key).is_some() {
                ledger.changed(self.id, &command.key, None, now);
            }
            session.mishap = session.mishap.take().filter(|m| !matches!(m, Mishap::Refuse { .. }));
            return Some(Err(b"SERVER_ERROR out of memory storing object\r\n".to_vec()));
        }
        if session.input.len() < line.len() + size + 2 {
            return None;
        }
        session.input.advance(line.len());
        let value = session.input.split_to(size).freeze();
        assert_eq!(&session.input[..2], b"\r\n", "behind a value");
        session.input.advance(2);
        Some(Ok(value))
    }

    fn get(&mut self, command: &Command, session: &mut Session, ledger: &mut Ledger, now: Instant) -> Vec<u8> {
        let item = self.items.get(&command.key);
        let place = self.vacant.get(&command.key).filter(|(_, until)| item.is_none() && *until > now);
        match command.number('T') {
            Some(tag) if tag == u64::from(OF_BATCH) || self.is_cut(tag) => {}
            // The client's own sets back what this server has said.
            Some(life) if life >= LIVES => assert!(life - LIVES <= self.versions, "nothing has lived for {life}"),
            Some(tag) => {
                let outcome = if item.is_none_or(|item| item.stale) { Outcome::Miss } else { Outcome::Done };
                ledger.applied(tag, &command.key, None, outcome, now);
            }
            None => {}
        }
        let Some(item) = item else {
            if command.flag('N').is_some() || place.is_some() {
                return self.lease(command, now);
            }
            return if self.bare_misses { b"EN\r\n".to_vec() } else { command.line("EN") };
        };
        let as_it_is = self.made.contains(&command.key).then(|| command.naming_as_it_is());
        let command = as_it_is.as_ref().unwrap_or(command);
        if item.stale {
            let item = item.clone();
            return self.stale(command, &item);
        }
        if command.flag('v').is_none() {
            return command.echo("HD", Some(item), &command.key);
        }
        // The one that is most like it.
        let others = self.items.iter().filter(|(key, _)| **key != command.key);
        let other = others.min_by_key(|(key, _)| key.len().abs_diff(command.key.len()));
        let other = other.filter(|_| session.mishap.take_if(|m| *m == Mishap::OtherKey).is_some());
        let (key, item) = other.map_or((&command.key, item), |(key, item)| (key, item));
        let mut reply = command.echo(&format!("VA {}", item.value.len()), Some(item), key);
        reply.extend_from_slice(&item.value);
        reply.extend(b"\r\n");
        reply
    }

    fn count(&mut self, command: &Command, ledger: &mut Ledger, now: Instant) -> Vec<u8> {
        let delta = command.number('D').expect("a delta");
        let old = self.items.get(&command.key);
        let number = match (old, command.number('J')) {
            (None, None) => {
                ledger.applied(delta, &command.key, None, Outcome::Miss, now);
                return command.line("NF");
            }
            (None, Some(initial)) => initial,
            (Some(item), _) => {
                let Some(number) = std::str::from_utf8(&item.value).ok().and_then(|text| text.parse::<u64>().ok())
                else {
                    return b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n".to_vec();
                };
                if command.number('C').is_some_and(|cas| cas != item.cas) {
                    ledger.applied(delta, &command.key, None, Outcome::Exists, now);
                    return command.line("EX");
                }
                let down = command.flag('M') == Some("D");
                if down {
                    number.saturating_sub(delta)
                } else {
                    number.wrapping_add(delta)
                }
            }
        };
        let flags = old.map_or(0, |item| item.flags);
        ledger.applied(delta, &command.key, None, Outcome::Number(number), now);
        let own = old.is_none() || self.made.contains(&command.key);
        self.put(&command.key, Bytes::from(number.to_string()), flags, ledger, now);
        if own {
            self.made.insert(command.key.clone());
        }
        let mut reply = command.line(&format!("VA {}", number.to_string().len()));
        reply.extend(format!("{number}\r\n").into_bytes());
        reply
    }

    fn store(&mut self, command: &Command, value: Bytes, ledger: &mut Ledger, now: Instant) -> Vec<u8> {
        let tag = command.number('F').expect("flags");
        let old = self.items.get(&command.key);
        let mode = command.flag('M').unwrap_or("S");
        let compared = command.number('C').map(|cas| old.map(|item| item.cas == cas));
        let outcome = match (mode, compared, old) {
            ("E", _, Some(_)) | ("R" | "A" | "P", _, None) => Outcome::NotStored,
            (_, Some(None), _) => Outcome::Miss,
            (_, Some(Some(false)), _) => Outcome::Exists,
            _ => Outcome::Done,
        };
        ledger.applied(tag, &command.key, Some(&value), outcome.clone(), now);
        if outcome == Outcome::Done {
            let (stored, flags) = match (mode, old) {
                ("A", Some(old)) => ([&old.value[..], &value[..]].concat().into(), old.flags),
                ("P", Some(old)) => ([&value[..], &old.value[..]].concat().into(), old.flags),
                _ => (value, u32::try_from(tag).expect("flags of 32 bits")),
            };
            self.put(&command.key, stored, flags, ledger, now);
        }
        let code = match outcome {
            Outcome::Done => "HD",
            Outcome::Miss => "NF",
            Outcome::Exists => "EX",
            _ => "NS",
        };
        command.line(code)
    }
}
