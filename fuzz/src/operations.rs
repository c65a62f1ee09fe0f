//! What a driver does, in any order.
//!
//! A script of the target `operations` begins with choices for the configuration, in the order of `config.rs`. Then come
//! commands; a connection is named by its place among those that there are, or from 128 on among all that ever were:
//!
//! | command | what it does |
//! |---|---|
//! | `+` letter sort | submits an operation |
//! | `M` n sort ... | submits gets of so many keys as one operation |
//! | `S` n | the subset of the servers that those that follow go to |
//! | `T` n | the timeout of those that follow |
//! | `-` n | cancels the one that was submitted so long ago, whether or not it has ended |
//! | `o` conn | it is connected |
//! | `a` conn | it is connected, and its greeting answered |
//! | `>` conn n | writes so much of what there is to write |
//! | `*` | writes all that there is to write |
//! | `<` conn letter n | the server says something, see [`Peer`] |
//! | `R` conn | the server answers everything |
//! | `x` conn loss | it is lost |
//! | `~` n | so much time passes |
//! | `!` | the client is told |
//! | `c` n | takes so many completions |
//! | `?` n | says everything of an id that nobody has |
//! | `=` server n | takes a server out of use if n is even, and back if not |
//! | `%` server n | the operator wants the server up, down or drained, which the client finds out by itself |
//! | `L` n | the list has the servers whose bits are 1, of six; none is refused |
//! | `A` server n | the server has other addresses: so many new ones, and the first one if n is odd |
//! | `U` server | its name cannot be resolved |
//! | `^` | the worker is about to exit |

mod checks;
mod config;
mod members;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use memcache_engine::{
    Answer, CallId, Client, ConnId, Error, Instant, Loss, Memory, Output, ServerId, ServerMemory, SharedSwitch, Subset,
    Switch, WorkerMemory,
};

use crate::driver;
use crate::ops::Op;
use crate::peer::{Peer, Says};
use crate::script::Script;

/// Plays a script, looks at the client after each of its commands, and sees that it ends well.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let config = config::read(&mut script);
    let now = Instant::from_micros(1_000_000);
    let switches: Vec<Memory<SharedSwitch>> = config.servers.iter().map(|_| Memory::default()).collect();
    let servers = switches.iter().map(with_switch).collect();
    let mut world = World {
        client: Client::among(config, 1, WorkerMemory { process: 1, servers }, now),
        switches,
        now,
        links: BTreeMap::new(),
        conns: Vec::new(),
        calls: Vec::new(),
        open: 0,
        said: HashMap::new(),
        vague: false,
        leases: 0,
        draining: false,
        timeout: None,
        subset: Subset::ALL,
        names: HashMap::new(),
        lists: false,
    };
    world.obey();
    while let Some(command) = script.command() {
        world.step(command, &mut script);
        world.obey();
        world.check();
    }
    world.end();
}

fn with_switch(switch: &Memory<SharedSwitch>) -> ServerMemory {
    ServerMemory { shared_switch: Some(switch.clone()), ..ServerMemory::default() }
}

/// A connection as the driver sees it.
struct Link {
    server: ServerId,
    connected: bool,
    peer: Peer,
}

/// An operation that was accepted.
struct Call {
    id: CallId,
    /// Empty: it asks the server itself.
    key: Vec<u8>,
    /// Those of gets of many.
    parts: Vec<Vec<u8>>,
    deadline: Instant,
    /// It has a time of its own, which is not put off.
    is_strict: bool,
    ended: bool,
}

struct World {
    client: Client<u64>,
    /// The operator's, by id.
    switches: Vec<Memory<SharedSwitch>>,
    now: Instant,
    links: BTreeMap<ConnId, Link>,
    conns: Vec<ConnId>,
    /// By number; `None`: it was not accepted.
    calls: Vec<Option<Call>>,
    /// Operations that have not ended.
    open: usize,
    /// What was said to each key.
    said: HashMap<Vec<u8>, Vec<Answer>>,
    /// Something was said of which nobody knows what it means.
    vague: bool,
    /// So many leases may have to be handed back.
    leases: usize,
    draining: bool,
    timeout: Option<Duration>,
    subset: Subset,
    /// The names of the servers with these ids.
    names: HashMap<ServerId, Bytes>,
    /// The list of servers has changed.
    lists: bool,
}

const TIMES: [u64; 10] = [0, 1, 1_000, 10_000, 60_000, 200_000, 1_000_000, 2_000_000, 10_000_000, 100_000_000];
const LOSSES: [Loss; 6] = [Loss::Eof, Loss::Error, Loss::Refused, Loss::Denied, Loss::NoResources, Loss::Closing];

impl World {
    fn step(&mut self, command: u8, script: &mut Script<'_>) {
        match command {
            b'+' => self.submit(script),
            b'M' => self.submit_many(script),
            b'S' => self.choose(script.number()),
            b'T' => self.timeout = script.pick(&[None, Some(0), Some(50), Some(5_000)]).map(Duration::from_millis),
            b'-' => {
                let call = self.calls.len().checked_sub(1 + script.number()).and_then(|n| self.calls[n].as_ref());
                if let Some(id) = call.map(|call| call.id) {
                    self.cancel(id);
                }
            }
            b'o' => {
                let conn = self.conn(script);
                self.connect(conn);
            }
            b'a' => {
                let conn = self.conn(script);
                self.connect(conn);
                self.write(conn, usize::MAX);
                (0..2).for_each(|_| self.say(conn, &mut Script::new(b"r0")));
                // What the server is tried with, or the first operations.
                self.write(conn, usize::MAX);
                while self.links.get(&conn).is_some_and(|link| link.peer.is_tried()) {
                    self.say(conn, &mut Script::new(b"r0"));
                    self.write(conn, usize::MAX);
                }
            }
            b'>' => {
                let conn = self.conn(script);
                self.write(conn, script.pick(&[0, 1, 2, 5, 10, 50, 1000, 5000, 70_000, usize::MAX]));
            }
            b'*' => {
                while let Some(conn) = self.client.poll_dirty() {
                    assert!(self.links.get(&conn).is_some_and(|link| link.connected), "nothing to write to");
                    self.write(conn, usize::MAX);
                }
            }
            b'<' => {
                let conn = self.conn(script);
                self.say(conn, script);
            }
            b'R' => {
                let conn = self.conn(script);
                let awaited = self.links.get(&conn).map_or(0, |link| link.peer.awaited());
                (0..awaited).for_each(|_| self.say(conn, &mut Script::new(b"r1")));
            }
            b'x' => {
                let conn = self.conn(script);
                let loss = script.pick(&LOSSES);
                self.links.remove(&conn);
                self.client.closed(conn, loss, self.now);
            }
            b'~' => self.now = self.now.after(Duration::from_micros(script.pick(&TIMES))),
            b'!' => self.tell(),
            b'c' => {
                for _ in 0..script.number() {
                    let Some(done) = self.client.poll_completion() else { break };
                    self.completed(done);
                }
            }
            b'?' => self.strangers(script),
            b'=' => {
                let (server, enabled) = (script.number() % 4, script.number() % 2 == 1);
                let known = self.client.server(server).is_some();
                assert_eq!(self.client.set_enabled(server, enabled, self.now), known, "server {server}");
            }
            b'%' => {
                let (server, n) = (script.number() % 4, script.number() % 3);
                if let Some(switch) = self.switches.get(server) {
                    switch.set(Switch::ALL[n], self.now, [0; 16]);
                }
            }
            b'L' => self.list(script.number()),
            b'A' => self.resolve(script.number() % 8, script.number() % 8),
            b'U' => self.unresolved(script.number() % 8),
            b'^' => {
                self.client.drain(self.now);
                self.draining = true;
            }
            _ => {}
        }
    }

    fn conn(&self, script: &mut Script<'_>) -> ConnId {
        let n = script.number();
        let conn = match n.checked_sub(128) {
            None => self.links.keys().nth(n % self.links.len().max(1)),
            Some(n) => self.conns.get(n % self.conns.len().max(1)),
        };
        conn.copied().unwrap_or(ConnId::from_u64(u64::MAX))
    }

    fn submit(&mut self, script: &mut Script<'_>) {
        let number = self.calls.len() as u64;
        let op = Op::read(script, number, self.timeout);
        let key = op.wire_key(&self.client.config().keys.prefix).unwrap_or_default();
        let deadline = self.now.after(self.timeout.unwrap_or(self.client.config().timeout));
        let is_strict = self.timeout.is_some();
        let call = match op.submit(&mut self.client, self.subset, self.now) {
            Ok(id) => {
                let known = self.calls.iter().flatten().any(|call| call.id == id);
                assert!(!known, "an id that was another's");
                self.open += 1;
                Some(Call { id, key, parts: Vec::new(), deadline, is_strict, ended: false })
            }
            Err(rejected) => {
                assert_eq!(rejected.context, number, "the context comes back");
                use Error::{Busy, InvalidKey, NoSuchServer, ServerDown, TooLarge};
                let why = rejected.error;
                let known = matches!(why, Busy | InvalidKey(_) | NoSuchServer | ServerDown | TooLarge { .. });
                assert!(known, "rejected: {why:?}");
                None
            }
        };
        self.calls.push(call);
    }

    fn submit_many(&mut self, script: &mut Script<'_>) {
        let number = self.calls.len() as u64;
        let ops: Vec<Op> = (0..script.number() % 20).map(|_| Op::get(script, number)).collect();
        let parts = ops.iter().filter_map(|op| op.wire_key(&self.client.config().keys.prefix)).collect();
        let keys = ops.iter().map(Op::key);
        let id = self.client.submit_many(self.subset, keys, None, self.timeout, number, self.now).expect("memory");
        assert!(!self.calls.iter().flatten().any(|call| call.id == id), "an id that was another's");
        let deadline = self.now.after(self.timeout.unwrap_or(self.client.config().timeout));
        let is_strict = self.timeout.is_some();
        self.open += 1;
        self.calls.push(Some(Call { id, key: Vec::new(), parts, deadline, is_strict, ended: false }));
    }

    /// Operations that gets of many consist of.
    fn parts(&self) -> usize {
        self.calls.iter().flatten().filter(|call| !call.ended).map(|call| call.parts.len()).sum()
    }

    fn cancel(&mut self, id: CallId) {
        let number = self.calls.iter().position(|call| call.as_ref().is_some_and(|call| call.id == id && !call.ended));
        assert_eq!(self.client.cancel(id, self.now), number.map(|n| n as u64), "what was submitted with it");
        if let Some(call) = number.and_then(|n| self.calls[n].as_mut()) {
            call.ended = true;
            self.open -= 1;
        }
    }

    fn connect(&mut self, conn: ConnId) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.connected = true;
        }
        self.client.connected(conn, self.now);
    }

    /// Writes until there is nothing more, or so many bytes.
    fn write(&mut self, conn: ConnId, most: usize) {
        let mut left = most;
        loop {
            let mut bytes = driver::offered(&mut self.client, conn);
            let link = self.links.get_mut(&conn).filter(|link| link.connected);
            assert!(link.is_some() || bytes.is_empty(), "bytes for a socket that is not connected");
            bytes.truncate(left);
            if bytes.is_empty() {
                self.client.written(conn, 0, self.now);
                return;
            }
            left -= bytes.len();
            link.expect("a connection").peer.read(&bytes);
            self.client.written(conn, bytes.len(), self.now);
            self.obey();
        }
    }

    fn say(&mut self, conn: ConnId, script: &mut Script<'_>) {
        let Some(link) = self.links.get_mut(&conn) else { return self.client.received(conn, 1, self.now) };
        let (bytes, says) = link.peer.say(script);
        self.leases += driver::leases(&bytes);
        match says {
            Says::Answer(key, answer) | Says::Last(key, answer) => self.said.entry(key).or_default().push(answer),
            Says::Anything => self.vague = true,
            Says::Nonsense(_) | Says::Stolen(_) | Says::Nothing => {}
        }
        let mut left = &bytes[..];
        while !left.is_empty() && self.links.contains_key(&conn) {
            left = driver::receive(&mut self.client, conn, left, self.now).expect("a connection that was not closed");
            self.obey();
        }
    }

    fn tell(&mut self) {
        self.client.timeout(self.now);
        assert!(self.client.next_timeout().is_none_or(|at| at > self.now), "a timer that does not end");
        let late = self.late();
        assert!(late <= self.client.completions(), "{late} operations are late");
    }

    fn late(&self) -> usize {
        self.strict().filter(|call| call.deadline <= self.now).count()
    }

    fn strict(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().flatten().filter(|call| !call.ended && call.is_strict)
    }

    /// Whatever is said of ids that nobody has is ignored.
    fn strangers(&mut self, script: &mut Script<'_>) {
        let n = script.number() as u64;
        for number in [n, n << 32, n << 32 | n, u64::MAX - n] {
            // It may be somebody's after all.
            self.cancel(CallId::from_u64(number));
            self.obey();
            let conn = ConnId::from_u64(number);
            if !self.links.contains_key(&conn) {
                self.client.connected(conn, self.now);
                assert!(self.client.read_buffer(conn).is_none() && driver::offered(&mut self.client, conn).is_empty());
                self.client.received(conn, 1, self.now);
                self.client.written(conn, 1, self.now);
                self.client.closed(conn, Loss::Error, self.now);
                assert_eq!(self.client.poll_output(), None);
            }
        }
    }

    /// Does what the client asks for.
    fn obey(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Open { conn, server, address } => {
                    let config = self.client.server(server).expect("a server of the list").config;
                    assert!(address < config.addresses);
                    let open = self.links.values().filter(|link| link.server == server).count();
                    let most = config.pool.max() as usize + usize::from(config.addresses > 1);
                    assert!(open < most, "more connections than `max`");
                    assert!(!self.conns.contains(&conn), "an id that was another's");
                    self.conns.push(conn);
                    let peer = Peer::new(self.client.config());
                    self.links.insert(conn, Link { server, connected: false, peer });
                }
                Output::Close { conn } => assert!(self.links.remove(&conn).is_some(), "closed twice"),
                Output::Gone { server } => {
                    assert!(self.client.server(server).is_none(), "server {server} has not left");
                    assert!(self.links.values().all(|link| link.server != server), "server {server} has connections");
                }
                Output::Event(event) => assert!(event.server() < 6),
            }
        }
    }

    /// The worker exits: everything ends in its time.
    fn end(mut self) {
        self.client.drain(self.now);
        self.obey();
        for _ in 0..100_000 {
            let Some(at) = self.client.next_timeout() else { break };
            self.now = self.now.max(at);
            self.tell();
            self.obey();
        }
        assert_eq!(self.client.next_timeout(), None, "there is no end to the timers");
        while let Some(done) = self.client.poll_completion() {
            self.completed(done);
        }
        assert_eq!((self.client.pending(), self.open), (0, 0), "operations do not end");
        assert!(self.links.is_empty(), "connections are left");
    }
}
