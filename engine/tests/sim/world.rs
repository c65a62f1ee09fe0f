//! Plays the driver: the client, its servers and the network between them, in simulated time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use memcache_engine::Memory;
use memcache_engine::MAX_LINE;
use memcache_engine::{
    Client, Config, ConnId, Error, Event, Instant, Loss, Output, ServerMemory, SharedHealth, SharedSwitch, WorkerMemory,
};

use crate::checks::Ledger;
use crate::habits::Habits;
use crate::members::List;
use crate::network::{Link, Stage, Weather};
use crate::server::Server;

mod connect;
mod upkeep;

/// The client encodes ahead until so many bytes wait to be written.
const ENCODED_AHEAD: usize = 64 * 1024;

/// A worker: a client, and the sockets that its driver has.
pub struct Worker {
    pub client: Client<u64>,
    pub links: BTreeMap<ConnId, Link>,
    /// Connects since the start, per server.
    pub opened: Vec<u64>,
    /// Those that ended while they were asked for, which the client may not know yet.
    stillborn: BTreeSet<ConnId>,
    /// How many connects there may be at once, per server, and since when.
    pace: Vec<(u64, Instant)>,
    /// The list that it has, by its place in [`World::lists`].
    pub version: usize,
}

pub struct World {
    /// The one that does something now; the others are in `workers`.
    pub worker: Worker,
    workers: Vec<Option<Worker>>,
    pub at: usize,
    pub now: Instant,
    pub rng: Rng,
    /// By id, in the list or not.
    pub servers: Vec<Server>,
    pub names: Vec<Bytes>,
    pub healths: Vec<Memory<SharedHealth>>,
    /// The operator's, by id, and when each was last changed.
    pub switches: Vec<(Memory<SharedSwitch>, Instant)>,
    /// All lists of servers so far.
    pub lists: Vec<List>,
    pub ledger: Ledger,
    pub habits: Habits,
    /// Operations that completed in the last turn, with what.
    pub done: Vec<(u64, Result<memcache_engine::Outcome, Error>)>,
    pub events: Vec<Event>,
    pub turns: u64,
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
        World::of(config, seed, 1)
    }

    /// With so many workers, who share what they know of the servers.
    pub fn of(config: Config, seed: u64, workers: u32) -> Self {
        let now = Instant::from_micros(1_000_000);
        let count = config.servers.len();
        let shared_healths: Vec<Memory<SharedHealth>> = (0..count).map(|_| Memory::default()).collect();
        let switches: Vec<(Memory<SharedSwitch>, Instant)> = (0..count).map(|_| (Memory::default(), now)).collect();
        let worker = |process: u32| {
            let memory = |id: usize| ServerMemory {
                shared_health: shared_healths[id].clone(),
                shared_switch: Some(switches[id].0.clone()),
                ..ServerMemory::default()
            };
            let worker_memory = WorkerMemory { process: process + 1, servers: (0..count).map(memory).collect() };
            Worker {
                client: Client::among(config.clone(), seed.wrapping_add(process.into()), worker_memory, now),
                links: BTreeMap::new(),
                opened: vec![0; count],
                stillborn: BTreeSet::new(),
                pace: vec![(u64::MAX / 2, now); count],
                version: 0,
            }
        };
        let mut world = World {
            worker: worker(0),
            workers: (0..workers).map(|process| (process > 0).then(|| worker(process))).collect(),
            at: 0,
            now,
            rng: Rng::with_seed(seed),
            servers: (0..count).map(|id| Server::new(id, Weather::fair())).collect(),
            names: config.servers.iter().map(|server| server.name.clone()).collect(),
            lists: vec![List::new(&config)],
            ledger: Ledger::new(&config),
            healths: shared_healths,
            switches,
            habits: Habits::calm(),
            done: Vec::new(),
            events: Vec::new(),
            turns: 0,
            standing: 0,
            draining: false,
            hurried: false,
            stopped: Duration::ZERO,
        };
        for (server, own) in world.servers.iter_mut().zip(&config.servers) {
            server.backup = own.backup;
        }
        world.each(World::obey);
        world
    }

    /// The worker that does something from now on.
    pub fn switch(&mut self, to: usize) {
        if let Some(next) = self.workers.get_mut(to).and_then(Option::take) {
            self.workers[self.at] = Some(std::mem::replace(&mut self.worker, next));
            self.at = to;
        }
    }

    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// Has every worker do this.
    pub fn each(&mut self, mut act: impl FnMut(&mut World)) {
        let at = self.at;
        for n in 0..self.workers.len() {
            self.switch(n);
            act(self);
        }
        self.switch(at);
    }

    pub fn all(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter().flatten().chain([&self.worker])
    }

    /// Operations that no worker has handed out.
    pub fn pending(&self) -> usize {
        self.all().map(|worker| worker.client.pending()).sum()
    }

    pub fn completions(&self) -> usize {
        self.all().map(|worker| worker.client.completions()).sum()
    }

    /// Turns until this much time has passed.
    pub fn run(&mut self, time: Duration) {
        let until = self.now.after(time);
        while self.now < until {
            self.turn(until);
        }
    }

    /// Turns until every operation has been answered; what was answered, in order.
    pub fn settle(&mut self) -> Vec<(u64, Result<memcache_engine::Outcome, Error>)> {
        let mut all = std::mem::take(&mut self.done);
        self.hurry();
        while self.pending() > 0 {
            self.turn(self.now.after(Duration::from_secs(1)));
            all.append(&mut self.done);
        }
        all
    }

    /// One turn of the event loop: sleeps until something happens, at most until then, and sees to all of it.
    pub fn turn(&mut self, until: Instant) {
        let wake = self.next_wake().unwrap_or(until).min(until).max(self.now);
        if self.completions() == 0 {
            assert!(self.ledger.deadline().is_none_or(|at| at >= wake.min(until)), "a deadline is slept through");
        }
        self.turns += 1;
        self.standing = if wake > self.now { 0 } else { self.standing + 1 };
        assert!(self.standing < 100_000, "the loop spins");
        let busy = self.rng.u64(0..=self.habits.turn);
        let stopped = std::mem::take(&mut self.stopped);
        self.now = wake.after(Duration::from_micros(busy)).after(stopped);
        self.ledger.put_off(stopped);

        self.each(World::work);
    }

    /// What one worker does in a turn.
    fn work(&mut self) {
        let conns: Vec<ConnId> = self.worker.links.keys().copied().collect();
        conns.into_iter().for_each(|conn| self.happen(conn));
        if self.worker.client.next_timeout().is_some_and(|at| at <= self.now) || self.rng.u8(..) == 0 {
            // A connect that fails at once may make something due at once.
            for _ in 0..8 {
                self.worker.client.timeout(self.now);
                self.obey();
                if self.worker.client.next_timeout().is_none_or(|at| at > self.now) {
                    break;
                }
            }
            assert!(self.worker.client.next_timeout().is_none_or(|at| at > self.now), "a timer that never ends");
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
        if self.completions() > 0 || std::mem::take(&mut self.hurried) {
            return Some(self.now);
        }
        let mut next = None;
        self.each(|world| {
            let links = world.worker.links.values().filter_map(|link| link.next(&world.servers[link.server])).min();
            next = [next, links, world.worker.client.next_timeout()].into_iter().flatten().min();
        });
        next
    }

    /// The event that nginx posts once per turn.
    pub fn posted(&mut self) {
        for _ in 0..self.habits.budget {
            let Some(done) = self.worker.client.poll_completion() else { break };
            if done.answer == Err(Error::Busy) {
                let view = self.worker.client.server(done.server);
                self.ledger.hands_back |= view.is_some_and(|view| view.stats().handed_back > 0);
            }
            if let Some(op) = self.ledger.outstanding().get(&done.context).filter(|op| !op.asked.is_empty()) {
                let known = self.ledger.roams || self.may_answer(op, done.server);
                assert!(known, "operation {} went to server {}", done.context, done.server);
            }
            self.ledger.completed(done.context, done.server, &done.answer, self.now);
            assert_eq!(self.worker.client.cancel(done.call, self.now), None, "it was handed out");
            self.done.push((done.context, done.answer));
        }
        if self.worker.client.put_off_writes() {
            self.hurry();
        } else {
            while let Some(conn) = self.worker.client.poll_dirty() {
                self.write(conn);
            }
        }
        self.obey();
    }

    /// What is due on a connection.
    fn happen(&mut self, conn: ConnId) {
        let now = self.now;
        let Some(link) = self.worker.links.get_mut(&conn) else { return };
        if let Stage::Connecting(outcome) = link.stage {
            match outcome.filter(|&(at, _)| at <= now) {
                None => return,
                Some((_, Ok(()))) => {
                    link.stage = Stage::Open;
                    self.worker.client.connected(conn, now);
                    self.obey();
                }
                Some((_, Err(loss))) => return self.lose(conn, loss),
            }
        }
        loop {
            let Some(link) = self.worker.links.get_mut(&conn).filter(|link| !link.lost) else { return };
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
        let end = self.worker.links.get(&conn).and_then(|link| link.end).filter(|&(at, _)| at <= now);
        if let Some((_, loss)) = end {
            // What had arrived before was read; a reset takes it along.
            self.lose(conn, loss);
        }
    }

    fn read(&mut self, conn: ConnId) {
        for _ in 0..8 {
            let Some(link) = self.worker.links.get_mut(&conn).filter(|link| link.down.readable() > 0) else { return };
            let largest = self.worker.client.config().max_value + 2 * (MAX_LINE + 2 * 16 * 1024);
            let Some(buffer) = self.worker.client.read_buffer(conn) else {
                panic!("a connection that was not closed is gone")
            };
            let room = buffer.capacity() - buffer.len();
            assert!(room >= 1 && buffer.capacity() <= largest, "{room} of {}", buffer.capacity());
            let bytes = link.down.read(buffer, room.min(self.habits.read));
            self.worker.client.received(conn, bytes, self.now);
            self.obey();
        }
    }

    fn write(&mut self, conn: ConnId) {
        let (now, most) = (self.now, self.worker.client.config().max_value);
        while let Some(link) = self.worker.links.get_mut(&conn) {
            assert_eq!(link.stage, Stage::Open, "written before it was connected");
            let weather = &self.servers[link.server].weather;
            let mut slices = [IoSlice::new(&[]); 64];
            let used = self.worker.client.transmit(conn, &mut slices[..self.habits.slices]);
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
                let more = self.worker.client.written(conn, accepted, now);
                let rest = self.worker.client.transmit(conn, &mut [IoSlice::new(&[])]);
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
        if self.worker.links.remove(&conn).is_some() {
            self.worker.client.closed(conn, loss, self.now);
            self.obey();
        }
    }

    /// Does what the client asks for.
    pub fn obey(&mut self) {
        while let Some(output) = self.worker.client.poll_output() {
            match output {
                Output::Open { conn, server, address } => self.open(conn, server, address),
                Output::Close { conn } => {
                    let known = self.worker.links.remove(&conn).is_some() || self.worker.stillborn.remove(&conn);
                    assert!(known, "closed twice");
                }
                Output::Gone { server } => {
                    assert!(!self.lists(server), "server {server} has not left");
                    let left = self.worker.links.values().filter(|link| link.server == server).count();
                    assert_eq!(left, 0, "server {server} has gone, and has connections");
                }
                Output::Event(event) => {
                    assert!(event.text(b"10.0.0.1:11211").is_ascii());
                    self.events.push(event);
                }
            }
        }
    }
}
