//! Plays the driver: the client, its servers and the network between them, in simulated time.

use std::collections::{BTreeMap, HashSet};
use std::io::IoSlice;
use std::time::Duration;

use fastrand::Rng;
use memcache_engine::{Client, Config, ConnId, Event, Instant, Loss, Output, State, MAX_LINE, PIPELINE_BOUND};

use crate::checks::Ledger;
use crate::network::{Link, Stage, Weather};
use crate::server::{Mode, Server};

/// The client encodes ahead until so many bytes wait to be written.
const ENCODED_AHEAD: usize = 64 * 1024;

/// More connects to one server in a second are a storm.
const CONNECTS: u64 = 150;

/// How the worker works.
#[derive(Clone, Debug)]
pub struct Habits {
    /// A turn of the event loop takes up to so many microseconds.
    pub turn: u64,
    /// Completions that are handed out in a turn.
    pub budget: usize,
    /// Slices that a write takes.
    pub slices: usize,
    /// The most bytes of one read.
    pub read: usize,
    /// Sockets that the worker may have; beyond, there are no resources.
    pub sockets: usize,
}

impl Habits {
    pub fn calm() -> Self {
        Habits { turn: 0, budget: usize::MAX, slices: 16, read: usize::MAX, sockets: usize::MAX }
    }

    pub fn random(rng: &mut Rng) -> Self {
        let choose = |rng: &mut Rng, of: &[usize]| of[rng.usize(..of.len())];
        Habits {
            turn: choose(rng, &[0, 20, 200, 2_000]) as u64,
            budget: choose(rng, &[1, 5, usize::MAX, usize::MAX]),
            slices: choose(rng, &[1, 2, 16, 64]),
            read: choose(rng, &[1, 100, usize::MAX, usize::MAX]),
            sockets: usize::MAX,
        }
    }
}

pub struct World {
    pub client: Client<u64>,
    pub now: Instant,
    pub rng: Rng,
    pub links: BTreeMap<ConnId, Link>,
    pub servers: Vec<Server>,
    pub ledger: Ledger,
    pub habits: Habits,
    /// Operations that completed in the last turn, with what.
    pub done: Vec<(u64, Result<memcache_engine::Outcome, memcache_engine::Error>)>,
    pub events: Vec<Event>,
    /// Connects since the start, per server.
    pub opened: Vec<u64>,
    pub turns: u64,
    /// Which second it is, and how many connects there were in it, per server.
    pace: Vec<(u64, u64)>,
    /// Turns since the clock last moved.
    standing: u32,
    draining: bool,
    /// The next turn is at once.
    hurried: bool,
    /// So much longer the next turn takes.
    stopped: Duration,
}

impl World {
    pub fn new(config: Config, seed: u64) -> Self {
        let now = Instant::from_micros(1_000_000);
        let count = config.servers.len();
        let mut world = World {
            client: Client::new(config, seed, now),
            now,
            rng: Rng::with_seed(seed),
            links: BTreeMap::new(),
            servers: (0..count).map(|_| Server::new(Weather::fair())).collect(),
            ledger: Ledger::default(),
            habits: Habits::calm(),
            done: Vec::new(),
            events: Vec::new(),
            opened: vec![0; count],
            turns: 0,
            pace: vec![(0, 0); count],
            standing: 0,
            draining: false,
            hurried: false,
            stopped: Duration::ZERO,
        };
        world.obey();
        world
    }

    /// Turns until this much time has passed.
    pub fn run(&mut self, time: Duration) {
        let until = self.now.after(time);
        while self.now < until {
            self.turn(until);
        }
    }

    /// Turns until every operation has been answered; what was answered, in order.
    pub fn settle(&mut self) -> Vec<(u64, Result<memcache_engine::Outcome, memcache_engine::Error>)> {
        let mut all = std::mem::take(&mut self.done);
        self.hurry();
        while self.client.pending() > 0 {
            self.turn(self.now.after(Duration::from_secs(1)));
            all.append(&mut self.done);
        }
        all
    }

    /// One turn of the event loop: sleeps until something happens, at most until then, and sees to all of it.
    pub fn turn(&mut self, until: Instant) {
        let wake = self.next_wake().unwrap_or(until).min(until).max(self.now);
        if self.client.completions() == 0 {
            assert!(self.ledger.deadline().is_none_or(|at| at >= wake.min(until)), "a deadline is slept through");
        }
        self.turns += 1;
        self.standing = if wake > self.now { 0 } else { self.standing + 1 };
        assert!(self.standing < 100_000, "the loop spins");
        let busy = self.rng.u64(0..=self.habits.turn);
        self.now = wake.after(Duration::from_micros(busy)).after(std::mem::take(&mut self.stopped));

        let conns: Vec<ConnId> = self.links.keys().copied().collect();
        conns.into_iter().for_each(|conn| self.happen(conn));
        if self.client.next_timeout().is_some_and(|at| at <= self.now) || self.rng.u8(..) == 0 {
            self.client.timeout(self.now);
            self.obey();
            assert!(self.client.next_timeout().is_none_or(|at| at > self.now), "a timer that never ends");
        }
        self.posted();
        self.check();
    }

    /// The worker gets no time: the next turn is so late.
    pub fn stop(&mut self, time: Duration) {
        self.stopped = time;
    }

    /// There is something to do for the next turn.
    pub fn hurry(&mut self) {
        self.hurried = true;
    }

    fn next_wake(&mut self) -> Option<Instant> {
        if self.client.completions() > 0 || std::mem::take(&mut self.hurried) {
            return Some(self.now);
        }
        let links = self.links.values().filter_map(|link| link.next(&self.servers[link.server])).min();
        [links, self.client.next_timeout()].into_iter().flatten().min()
    }

    /// The event that nginx posts once per turn.
    pub fn posted(&mut self) {
        for _ in 0..self.habits.budget {
            let Some(done) = self.client.poll_completion() else { break };
            self.ledger.completed(done.context, &done.answer, self.now);
            assert_eq!(self.client.cancel(done.call, self.now), None, "it was handed out");
            self.done.push((done.context, done.answer));
        }
        if self.client.put_off_writes() {
            self.hurry();
        } else {
            while let Some(conn) = self.client.poll_dirty() {
                self.write(conn);
            }
        }
        self.obey();
    }

    /// What is due on a connection.
    fn happen(&mut self, conn: ConnId) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&conn) else { return };
        if let Stage::Connecting(outcome) = link.stage {
            match outcome.filter(|&(at, _)| at <= now) {
                None => return,
                Some((_, Ok(()))) => {
                    link.stage = Stage::Open;
                    self.client.connected(conn, now);
                    self.obey();
                }
                Some((_, Err(loss))) => return self.lose(conn, loss),
            }
        }
        loop {
            let Some(link) = self.links.get_mut(&conn).filter(|link| !link.lost) else { return };
            link.up.deliver(now);
            link.down.deliver(now);
            let server = link.server;
            self.servers[server].serve(server, link, &mut self.ledger, &mut self.rng, now);
            let (blocked, waiting) = (link.blocked, link.down.readable() > 0);
            let room = link.up.room(&self.servers[server].weather) > 0;
            if !(blocked && room || waiting) {
                break;
            }
            if blocked && room {
                self.write(conn);
            }
            self.read(conn);
            if self.rng.u8(..) < 8 {
                break; // Other connections have their turn.
            }
        }
        let end = self.links.get(&conn).and_then(|link| link.end).filter(|&(at, _)| at <= now);
        if let Some((_, loss)) = end {
            // What had arrived before was read; a reset takes it along.
            self.lose(conn, loss);
        }
    }

    fn read(&mut self, conn: ConnId) {
        for _ in 0..8 {
            let Some(link) = self.links.get_mut(&conn).filter(|link| link.down.readable() > 0) else { return };
            let largest = self.client.config().max_value + 2 * (MAX_LINE + 2 * 16 * 1024);
            let Some(buffer) = self.client.read_buffer(conn) else {
                panic!("a connection that was not closed is gone")
            };
            let room = buffer.capacity() - buffer.len();
            assert!(room >= 1 && buffer.capacity() <= largest, "{room} of {}", buffer.capacity());
            let bytes = link.down.read(buffer, room.min(self.habits.read));
            self.client.received(conn, bytes, self.now);
            self.obey();
        }
    }

    fn write(&mut self, conn: ConnId) {
        let (now, most) = (self.now, self.client.config().max_value);
        while let Some(link) = self.links.get_mut(&conn) {
            assert_eq!(link.stage, Stage::Open, "written before it was connected");
            let weather = &self.servers[link.server].weather;
            let mut slices = [IoSlice::new(&[]); 64];
            let used = self.client.transmit(conn, &mut slices[..self.habits.slices]);
            let (mut offered, mut accepted) = (0, 0);
            for slice in &slices[..used] {
                if accepted == offered {
                    accepted += link.up.send(slice, weather, now, &mut self.rng);
                }
                offered += slice.len();
            }
            assert!(offered <= ENCODED_AHEAD + most + 1024, "{offered} bytes wait to be written");
            link.blocked = accepted < offered;
            if offered == 0 {
                return;
            }
            let blocked = link.blocked;
            if accepted > 0 {
                let more = self.client.written(conn, accepted, now);
                let rest = self.client.transmit(conn, &mut [IoSlice::new(&[])]);
                assert!(more || rest == 0, "there is more to write than the client says");
                self.obey();
            }
            if blocked {
                return;
            }
        }
    }

    /// The socket is gone.
    pub fn lose(&mut self, conn: ConnId, loss: Loss) {
        if self.links.remove(&conn).is_some() {
            self.client.closed(conn, loss, self.now);
            self.obey();
        }
    }

    /// Does what the client asks for.
    pub fn obey(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Open { conn, server, address } => self.open(conn, server, address),
                Output::Close { conn } => assert!(self.links.remove(&conn).is_some(), "closed twice"),
                Output::Event(event) => {
                    assert!(event.text(b"10.0.0.1:11211").is_ascii());
                    self.events.push(event);
                }
            }
        }
    }

    fn open(&mut self, conn: ConnId, id: usize, address: usize) {
        let config = &self.client.config().servers[id];
        assert!(address < config.addresses);
        let open = self.links.values().filter(|link| link.server == id).count();
        let most = config.pool.max() as usize + usize::from(config.addresses > 1);
        assert!(open < most, "more connections than `max`");
        self.opened[id] += 1;
        let second = self.now.as_micros() / 1_000_000;
        let (current, connects) = &mut self.pace[id];
        *connects = if *current == second { *connects + 1 } else { 1 };
        *current = second;
        // A worker that exits keeps no connection, so what still comes may need its own.
        assert!(*connects <= CONNECTS || self.draining, "{connects} connects to server {id} in a second");
        let server = &self.servers[id];
        let at = self.now.after(server.weather.delay(&mut self.rng));
        let outcome = match server.mode {
            _ if self.links.len() >= self.habits.sockets => {
                return self.client.closed(conn, Loss::NoResources, self.now)
            }
            _ if address < server.dead_addresses => Some((at, Err(Loss::Connect))),
            // As with a Unix socket, it may be known at once.
            Mode::Nobody if self.rng.bool() => return self.client.closed(conn, Loss::Refused, self.now),
            Mode::Nobody => Some((at, Err(Loss::Refused))),
            Mode::Blackhole => None,
            _ => Some((at, Ok(()))),
        };
        self.links.insert(conn, Link::new(id, Stage::Connecting(outcome)));
    }

    /// What holds between any two turns.
    fn check(&mut self) {
        let mut connections = 0;
        let mut queued = 0;
        for id in 0..self.servers.len() {
            let view = self.client.server(id).expect("a server");
            let config = self.client.config();
            let max = view.config.pool.max() as usize;
            let bound = PIPELINE_BOUND * config.pipeline;
            assert!(view.open + view.connecting <= max, "server {id} has more connections than `max`");
            // What follows a write of its key may go to a connection that is full, out of the queue, too.
            let most = (bound + config.queue) * view.open + config.queue + bound * max;
            assert!(view.pending <= most, "{} replies are awaited", view.pending);
            // Those of connections that were lost are added to those that were waiting.
            let lost = (bound + config.queue) * max + config.queue + bound * max;
            assert!(view.queued <= config.queue + lost, "{} operations wait", view.queued);
            assert!(view.state == State::Live || view.queued == 0, "operations wait for a server that is down");
            let moves = view.elsewhere > 0;
            assert!(
                view.idle == 0 || view.queued == 0 || moves,
                "{} operations wait, and a connection is idle",
                view.queued
            );
            assert_eq!(view.idle + view.busy, view.open);
            assert!(view.idle == 0 || !self.draining, "a connection that nobody needs stays open");
            connections += view.open + view.connecting + view.elsewhere;
            queued += view.queued;
        }
        assert_eq!(connections, self.links.len(), "the client and its driver disagree about connections");
        assert_eq!(self.client.pending(), self.ledger.outstanding().len(), "operations were lost");
        assert!(queued <= self.client.pending());
        if self.client.completions() == 0 {
            assert!(self.ledger.deadline().is_none_or(|at| at >= self.now), "a deadline has passed");
        }
    }

    /// The worker begins to exit.
    pub fn drain(&mut self) {
        self.draining = true;
        self.client.drain(self.now);
        self.obey();
    }

    /// All faults are over.
    pub fn heal(&mut self) {
        for server in &mut self.servers {
            server.mode = Mode::Memcached;
            server.stalled = false;
            server.weather = Weather::fair();
            server.dead_addresses = 0;
            server.item_limit = usize::MAX;
        }
        for link in self.links.values_mut() {
            link.session.mishap = None;
            if std::mem::take(&mut link.lost) {
                link.hang_up(Loss::Error, true, self.now);
            }
        }
        self.habits = Habits::calm();
    }

    /// A whole server stops: its connections end.
    pub fn kill(&mut self, id: usize, loss: Loss, abruptly: bool) {
        for link in self.links.values_mut().filter(|link| link.server == id && link.stage == Stage::Open) {
            link.hang_up(loss, abruptly, self.now);
        }
        self.servers[id].forget(&mut self.ledger, self.now);
    }

    /// The connections to a server, without those that are being connected.
    pub fn conns(&self, id: usize) -> Vec<ConnId> {
        let open = self.links.iter().filter(|(_, link)| link.server == id && link.stage == Stage::Open);
        open.map(|(&conn, _)| conn).collect()
    }

    /// The servers that the client thinks are down.
    pub fn down(&self) -> HashSet<usize> {
        let down = |&id: &usize| self.client.server(id).is_some_and(|view| view.state == State::Down);
        (0..self.servers.len()).filter(down).collect()
    }
}
