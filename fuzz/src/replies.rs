//! What a server says, in whatever pieces it comes.
//!
//! A script of the target `replies` begins with four choices: the largest value, the failures that bring the server
//! down, whether gets share an exchange and in which protocol, and the seed of the random cuts. Then come commands:
//!
//! | command | what it does |
//! |---|---|
//! | `+` letter sort | submits an operation |
//! | `T` n | the timeout of those that follow |
//! | `-` n | cancels the one that was accepted so long ago |
//! | `>` n | writes what there is to write; 9: all |
//! | `<` letter n | the server says something, see [`Peer`] |
//! | `/` n | a cut, so many bytes before the end of what it has said |
//! | `;` | what it has said arrives, as it does before every other command |
//! | `~` n | time passes |
//!
//! Each script is played four times: what the server says arrives in one piece, cut where the script says, cut at
//! random, and byte by byte. All four have to end in the same way, and where it is known what the client has to make
//! of what was said, that is what it has made of it.
//!
//! The pipeline has room for all: what waits moves up after each read, so who is on a connection when it ends would
//! depend on the reads. For the same reason no other is submitted beside one that goes alone.

mod forecast;

use std::collections::HashMap;
use std::mem::take;
use std::time::Duration;

use memcache_engine::limits::MAX_SERVERS;
use memcache_engine::{
    Answer, CallId, Client, Config, ConnId, Discovery, Error, Instant, Outcome, Output, Protocol, ServerConfig,
    ServerParams, Subset,
};

use self::forecast::Forecast;
use crate::driver;
use crate::ops::Op;
use crate::peer::{Peer, Says};
use crate::script::Script;

/// Plays a script in all ways.
pub fn run(input: &[u8]) {
    let whole = play(input, Delivery::Whole);
    for delivery in [Delivery::Marked, Delivery::Random, Delivery::Bytes] {
        let other = play(input, delivery);
        assert_eq!(whole, other, "in one piece, and {delivery:?}");
    }
}

/// How what a server has said arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Whole,
    Marked,
    Random,
    Bytes,
}

/// What a driver has seen.
#[derive(Debug, Default, PartialEq)]
struct Trace {
    outputs: Vec<Output>,
    completions: Vec<(u64, Answer)>,
    written: Vec<u8>,
    counted: Vec<(&'static str, u64)>,
}

/// The connection that there is.
struct Link {
    conn: ConnId,
    peer: Peer,
    /// Nobody knows how the client reads what the server says.
    vague: bool,
}

struct World {
    client: Client<u64>,
    now: Instant,
    delivery: Delivery,
    link: Option<Link>,
    /// What the server has said and what the client will make of it, the cuts, and the seed of random ones.
    said: Vec<u8>,
    means: Vec<Says>,
    cuts: Vec<usize>,
    seed: u32,
    timeout: Option<Duration>,
    /// By number; gone: it has ended.
    calls: Vec<Option<CallId>>,
    numbers: HashMap<Vec<u8>, u64>,
    /// The operation that goes alone.
    alone: Option<u64>,
    /// An operation without a key has ended without its reply.
    lost_count: bool,
    /// It is known what becomes of all that was submitted.
    foreseen: bool,
    /// So many leases may have to be handed back.
    leases: usize,
    trace: Trace,
}

const TIMES: [u64; 8] = [1, 1_000, 10_000, 60_000, 100_000, 500_000, 1_000_000, 10_000_000];

fn play(input: &[u8], delivery: Delivery) -> Trace {
    let mut script = Script::new(input);
    let (pool, weight) = {
        let mut params = ServerParams::default();
        params.parse(b"max=1").expect("a parameter");
        params.finish().expect("a pool")
    };
    let mut config = Config::new(vec![ServerConfig { name: "h:1".into(), addresses: 1, pool, weight, backup: false }]);
    config.max_value = script.pick(&[1024, 0, 1, 10, 5000, 16_384, 20_000, 70_000]);
    config.max_fails = script.pick(&[3, 1, 2]) as u32;
    (config.coalesce, config.protocol) = script.pick(&[
        (false, Protocol::Meta),
        (true, Protocol::Meta),
        (false, Protocol::Text),
        (true, Protocol::Text),
    ]);
    let seed = script.number() as u32;
    let now = Instant::from_micros(1_000_000);
    let mut world = World {
        client: Client::new(config, 1, now),
        now,
        delivery,
        link: None,
        said: Vec::new(),
        means: Vec::new(),
        cuts: Vec::new(),
        seed,
        timeout: None,
        calls: Vec::new(),
        numbers: HashMap::new(),
        alone: None,
        lost_count: false,
        foreseen: true,
        leases: 0,
        trace: Trace::default(),
    };
    while let Some(command) = script.command() {
        world.step(command, &mut script);
    }
    world.end()
}

impl World {
    fn step(&mut self, command: u8, script: &mut Script<'_>) {
        if !b"</".contains(&command) {
            self.deliver();
        }
        match command {
            b'<' => {
                let Some(link) = &mut self.link else { return };
                let (bytes, says) = link.peer.say(script);
                self.leases += driver::leases(&bytes);
                self.said.extend(bytes);
                self.means.push(says);
            }
            b'/' => self.cuts.push(self.said.len().saturating_sub(script.number())),
            b'+' => self.submit(script),
            b'T' => self.timeout = script.pick(&[None, Some(20), Some(200)]).map(Duration::from_millis),
            b'-' => {
                let index = self.calls.len().checked_sub(1 + script.number());
                let index = index.filter(|&index| self.alone != Some(index as u64));
                if let Some(call) = index.and_then(|index| self.calls[index].take()) {
                    self.lost_count |= !self.numbers.values().any(|&n| Some(n as usize) == index);
                    assert!(self.client.cancel(call, self.now).is_some(), "it has not ended");
                }
            }
            b'>' => self.write(script.pick(&[1, 2, 5, 10, 20, 50, 100, 1000, 5000, usize::MAX])),
            b'~' => self.pass(Duration::from_micros(script.pick(&TIMES))),
            _ => {}
        }
        self.obey();
    }

    fn submit(&mut self, script: &mut Script<'_>) {
        let number = self.calls.len() as u64;
        let op = Op::read(script, number, self.timeout);
        let server = self.client.server(0).expect("a server");
        let is_free = server.pending + server.queued == 0;
        self.alone = self.alone.filter(|_| !is_free);
        if self.alone.is_some() || op.goes_alone() && !is_free {
            self.calls.push(None);
            return;
        }
        self.alone = op.goes_alone().then_some(number);
        self.foreseen &= op.is_plain();
        let key = op.wire_key(&self.client.config().keys.prefix);
        let call = op.submit(&mut self.client, Subset::ALL, self.now);
        if let (Ok(_), Some(key)) = (&call, key) {
            self.numbers.insert(key, number);
        }
        self.calls.push(call.ok());
    }

    /// Writes until the connection has nothing more, or so many bytes.
    fn write(&mut self, most: usize) {
        let Some(link) = &mut self.link else { return };
        let mut left = most;
        while left > 0 {
            let mut bytes = driver::offered(&mut self.client, link.conn);
            if bytes.is_empty() {
                break;
            }
            bytes.truncate(left);
            left -= bytes.len();
            link.peer.read(&bytes);
            self.client.written(link.conn, bytes.len(), self.now);
            self.trace.written.extend(bytes);
        }
        while self.client.poll_dirty().is_some() {}
    }

    /// Does what the client asks for: connections are made at once.
    fn obey(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Open { conn, .. } => {
                    assert!(self.link.is_none(), "more connections than `max`");
                    let peer = Peer::new(self.client.config());
                    self.link = Some(Link { conn, peer, vague: false });
                    self.client.connected(conn, self.now);
                    while self.client.server(0).is_some_and(|server| server.connecting > 0) {
                        self.write(usize::MAX);
                        while let Some(link) = self.link.as_mut().filter(|link| link.peer.awaited() > 0) {
                            let (bytes, _) = link.peer.say(&mut Script::new(b"r0"));
                            self.receive(&bytes);
                        }
                    }
                }
                Output::Close { conn } => {
                    let link = self.link.take().expect("a connection");
                    assert_eq!(link.conn, conn, "a connection that there is");
                }
                Output::Event(_) | Output::Gone { .. } => {}
            }
            self.trace.outputs.push(output);
        }
    }

    /// Bytes arrive, no more at a time than the client has room for. What comes behind the connection's end is lost.
    fn receive(&mut self, mut bytes: &[u8]) {
        let Some(conn) = self.link.as_ref().map(|link| link.conn) else { return };
        while !bytes.is_empty() && self.link.as_ref().is_some_and(|link| link.conn == conn) {
            let left = driver::receive(&mut self.client, conn, bytes, self.now);
            bytes = left.expect("a connection that was not closed");
            self.obey();
        }
    }

    /// What the server has said arrives.
    fn deliver(&mut self) {
        let (said, means) = (take(&mut self.said), take(&mut self.means));
        let cuts = take(&mut self.cuts);
        self.collect();
        let Some(link) = &mut self.link else { return };
        let (conn, vague) = (link.conn, link.vague || !self.foreseen);
        link.vague |= means.iter().any(|says| matches!(says, Says::Anything));
        let forecast = if vague { Forecast::default() } else { self.forecast(&means) };
        let (before, outputs) = (self.trace.completions.len(), self.trace.outputs.len());

        let mut rest = &said[..];
        for size in self.sizes(said.len(), cuts) {
            let (now, later) = rest.split_at(size);
            if self.link.as_ref().is_some_and(|link| link.conn == conn) {
                self.receive(now);
            }
            rest = later;
        }
        self.collect();
        let closed = self.link.as_ref().is_none_or(|link| link.conn != conn);
        if !vague {
            self.compare(forecast, &self.trace.completions[before..], &self.trace.outputs[outputs..], closed);
        }
    }

    /// The sizes of the pieces.
    fn sizes(&mut self, len: usize, mut cuts: Vec<usize>) -> Vec<usize> {
        match self.delivery {
            Delivery::Whole => return vec![len],
            Delivery::Marked => {}
            Delivery::Random => {
                let mut at = 0;
                cuts = Vec::new();
                while at < len {
                    self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // Mostly few bytes, seldom many.
                    let bits = self.seed >> 28;
                    at += 1 + (self.seed >> 8) as usize % (1 << bits.min(12));
                    cuts.push(at);
                }
            }
            // Thousands of them cost time, and show no more.
            Delivery::Bytes => cuts = (1..len).step_by(1 + len / 2048).collect(),
        }
        cuts.retain(|&at| at < len);
        cuts.push(len);
        cuts.sort_unstable();
        let mut from = 0;
        cuts.into_iter().map(|at| at - std::mem::replace(&mut from, at)).collect()
    }

    /// Takes the completions.
    fn collect(&mut self) {
        let max_value = self.client.config().max_value;
        while let Some(done) = self.client.poll_completion() {
            let call = self.calls[done.context as usize].take();
            assert_eq!(call, Some(done.call), "operation {} has ended before", done.context);
            match &done.answer {
                Ok(Outcome::Item(item)) => assert!(item.value.len() <= max_value),
                Ok(Outcome::Text(text)) => check_list(text),
                Ok(_) | Err(Error::Server(_) | Error::Client(_)) => {}
                Err(_) => self.lost_count |= !self.numbers.values().any(|&n| n == done.context),
            }
            self.trace.completions.push((done.context, done.answer));
        }
        let waiting = self.calls.iter().flatten().count();
        let pending = self.client.pending();
        assert!((waiting..=waiting + self.leases).contains(&pending), "{pending} are pending, not {waiting}");
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now.after(time);
        while let Some(at) = self.client.next_timeout().filter(|&at| at <= until) {
            self.tick(at);
        }
        self.now = until;
    }

    fn tick(&mut self, at: Instant) {
        assert!(at >= self.now, "a timer in the past");
        self.now = at;
        self.client.timeout(at);
        assert!(self.client.next_timeout().is_none_or(|next| next > at), "a timer that does not end");
        self.obey();
        self.collect();
    }

    /// Everything has a deadline.
    fn end(mut self) -> Trace {
        self.deliver();
        self.obey();
        for _ in 0..100_000 {
            if self.client.pending() == 0 {
                break;
            }
            let at = self.client.next_timeout().expect("a deadline");
            self.tick(at);
        }
        assert_eq!(self.client.pending(), 0, "an operation does not end");
        let stats = self.client.server(0).expect("a server").stats();
        let more = [("hits", stats.hits), ("misses", stats.misses), ("opened", stats.opened), ("lost", stats.lost)];
        self.trace.counted = stats.errors.list().chain(more).collect();
        self.trace
    }
}

/// Whatever a text says, the servers in it have names that can be printed, and an address that can be used.
fn check_list(text: &[u8]) {
    let Ok(list) = Discovery::parse(text) else { return };
    assert!((1..=MAX_SERVERS).contains(&list.nodes.len()));
    for node in list.nodes {
        assert!(node.name().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte)));
        assert!(node.port > 0 && !node.ip.is_some_and(|ip| ip.is_unspecified() || ip.is_multicast()));
    }
}
