//! Clusters whose list of servers changes while nginx runs.
//!
//! A *source* is a line of the configuration whose servers change. One worker asks for them, the asker: it has the right to
//! publish, which ends soon, so that another one takes it when the asker dies. What it finds is published in the zone, and
//! every worker takes it from there: at the start of a turn, by a timer when nothing happens, and when it starts.

#![forbid(unsafe_code)]

use core::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use memcache_engine::limits::MAX_PUBLISHED;
use memcache_engine::shared::{Members, Published, Renewed};
use memcache_engine::{
    Answer, Config, DiscoverBy, Discovery, Hash, Instant, MembershipError, Memory, ModuleId, ServerConfig,
    ServerMemory, ServerVerb, WorkerMemory,
};
use nginx_sys::ngx_msec_t;

use super::record::Record;
use crate::abi::callback::Callback;
use crate::driver::host::Host;
use crate::driver::members::Member;
use crate::driver::{Driver, List};
use crate::nginx::address::Addresses;
use crate::nginx::conf::Position;
use crate::nginx::cycle::Cycle;
use crate::nginx::event::Event;
use crate::nginx::log::Log;
use crate::nginx::process::{is_alive, is_exiting, pid, NotAvailable};
use crate::nginx::ssl::Context;
use crate::nginx::{clock, shm};

/// When a worker in which nothing happens looks for another list.
const LOOK_AGAIN: ngx_msec_t = 1000;
/// How long the asker keeps its right without having asked for it again.
const ASKER_TIME: Duration = Duration::from_secs(5);
/// When a line is asked for again of which nothing is known yet.
const FIRST_AGAIN: Duration = Duration::from_secs(1);

/// A line whose servers change.
#[derive(Clone)]
pub struct Source {
    /// The number of its server in the configuration, which stands for those that are not known yet.
    pub server: usize,
    /// The endpoint's addresses.
    pub addresses: Addresses,
    /// `memcache_discover_interval`
    pub interval: Duration,
    /// The line.
    pub position: Position,
}

impl PartialEq for Source {
    fn eq(&self, other: &Source) -> bool {
        self.server == other.server && self.interval == other.interval && self.addresses.key() == other.addresses.key()
    }
}

/// The list of a cluster in this worker.
pub struct Follower {
    this: Weak<Follower>,
    /// The cluster's client.
    driver: Weak<Driver>,
    published: Memory<Published>,
    config: Config,
    hosts: Vec<Host>,
    tls: Option<Rc<Context>>,
    lines: Vec<Line>,
    /// The memory of the servers of the configuration, and of those that come later.
    memory: Vec<ServerMemory>,
    records: Vec<Record>,
    /// The version that was taken last.
    seen: Cell<u64>,
    /// The names of the servers of the list, and the numbers of their records.
    shown: RefCell<Vec<(Bytes, Option<usize>)>>,
    timer: Event<Follower>,
    log: Log<'static>,
}

/// What the list of a cluster needs of it.
pub struct Parts<'a> {
    /// The configuration of the client.
    pub config: &'a Config,
    /// Where its servers are.
    pub hosts: &'a [Host],
    /// The lines whose servers change.
    pub sources: &'a [Source],
    /// How connections are secured.
    pub tls: Option<&'a Rc<Context>>,
    /// The list that all workers share; `None`: they do not.
    pub published: Option<&'static Published>,
    /// The memory in the zone of the servers of the configuration, and of those that come later.
    pub records: Vec<Record>,
    /// The same for this worker's client.
    pub memory: Vec<ServerMemory>,
}

/// A source, as the asker knows it.
struct Line {
    source: Source,
    /// The client of the endpoint.
    endpoint: OnceCell<Rc<Driver>>,
    by: Cell<DiscoverBy>,
    due: Cell<Instant>,
    asking: Cell<bool>,
    /// What was logged last.
    said: RefCell<String>,
}

impl Follower {
    /// That of a cluster, for its client.
    pub fn new(cluster: Parts<'_>, driver: &Rc<Driver>) -> Result<Rc<Follower>, NotAvailable> {
        let log = Cycle::current().and_then(Cycle::log).ok_or(NotAvailable)?;
        let line = |source: &Source| Line {
            source: source.clone(),
            endpoint: OnceCell::new(),
            by: Cell::new(DiscoverBy::Config),
            due: Cell::default(),
            asking: Cell::default(),
            said: RefCell::default(),
        };
        let servers = cluster.config.servers.iter().enumerate();
        let configured = servers.map(|(number, server)| (server.name.clone(), Some(number)));
        Ok(Rc::new_cyclic(|this| Follower {
            this: this.clone(),
            driver: Rc::downgrade(driver),
            published: cluster.published.map(Memory::Shared).unwrap_or_default(),
            config: cluster.config.clone(),
            hosts: cluster.hosts.to_vec(),
            tls: cluster.tls.cloned(),
            lines: cluster.sources.iter().map(line).collect(),
            memory: cluster.memory,
            records: cluster.records,
            seen: Cell::new(0),
            shown: RefCell::new(configured.collect()),
            timer: Event::new(this.clone(), Follower::on_timer, log),
            log,
        }))
    }

    /// Takes the list that is there, and begins to look for others.
    pub fn begin(&self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.follow(self.this.clone());
        }
        self.look_again(1);
    }

    /// The worker exits.
    pub fn end(&self) {
        self.timer.delete();
        self.published.right.release(pid());
        self.lines.iter().filter_map(|line| line.endpoint.get()).for_each(|endpoint| endpoint.shut_down());
    }

    /// The number of the memory of the server at this place of the list.
    pub fn record(&self, place: usize) -> Option<usize> {
        self.shown.borrow().get(place).and_then(|(_, record)| *record)
    }

    /// The names of the servers of the list.
    pub fn names(&self) -> Vec<Bytes> {
        self.shown.borrow().iter().map(|(name, _)| name.clone()).collect()
    }

    fn look_again(&self, millis: ngx_msec_t) {
        self.timer.set_cancelable(true);
        self.timer.set_timer(millis);
    }

    fn on_timer(&self) {
        if let Some(driver) = self.driver.upgrade() {
            driver.look_at_list();
        }
        let right = &self.published.right;
        if is_exiting() {
            return right.release(pid());
        }
        if let Some(dead) = right.holder().filter(|&holder| !is_alive(holder)) {
            right.release(dead);
        }
        let now = clock::now();
        if right.take(pid(), ASKER_TIME, now).is_ok() {
            for (number, line) in self.lines.iter().enumerate() {
                if line.due.get() <= now && !line.asking.get() {
                    self.ask(number, line, now);
                }
            }
        } else {
            // Who takes over asks at once.
            self.lines.iter().for_each(|line| line.due.set(Instant::default()));
        }
        self.look_again(LOOK_AGAIN);
    }

    /* the asker */

    fn ask(&self, number: usize, line: &Line, now: Instant) {
        let is_known = self.current().1.line(number).is_some();
        let pause = if is_known { line.source.interval } else { line.source.interval.min(FIRST_AGAIN) };
        line.due.set(now.after(pause));
        let Ok(endpoint) = line.endpoint.get().cloned().map_or_else(|| self.endpoint(line), Ok) else { return };
        let this = self.this.clone();
        let callback = Callback::own(move |answer| {
            if let Some(this) = this.upgrade() {
                this.answered(number, &answer);
            }
        });
        line.asking.set(true);
        let verb = ServerVerb::Discover { by: line.by.get() };
        if endpoint.submit_to(ModuleId::UNTAGGED, 0, verb, None, callback).is_err() {
            line.asking.set(false);
            self.keep(line, "the endpoint cannot be asked");
        }
    }

    /// The client of a line's endpoint. It is like that of the servers.
    fn endpoint(&self, line: &Line) -> Result<Rc<Driver>, NotAvailable> {
        let server = self.config.servers.get(line.source.server).ok_or(NotAvailable)?;
        let server = ServerConfig { addresses: line.source.addresses.len(), weight: 1, ..server.clone() };
        let config = Config { servers: vec![server], hash: Hash::default(), ..self.config.clone() };
        let hosts = [Host { addresses: line.source.addresses.clone(), followed: None }];
        let memory = WorkerMemory { process: pid(), servers: Vec::new() };
        let driver = Driver::new(&config, &hosts, self.tls.as_ref(), memory, |_| ", configuration endpoint".into())?;
        driver.start();
        Ok(line.endpoint.get_or_init(|| driver).clone())
    }

    fn answered(&self, number: usize, answer: &Answer) {
        let Some(line) = self.lines.get(number) else { return };
        line.asking.set(false);
        if let Some(by) = line.by.get().otherwise(answer) {
            line.by.set(by);
            return self.ask(number, line, clock::now());
        }
        let found = Discovery::of(answer).map_err(|wrong| wrong.to_string()).and_then(|discovery| {
            let server = |node: &memcache_engine::config::Node| match node.ip {
                Some(ip) => Ok((node.name(), SocketAddr::new(ip, node.port))),
                None => Err(format!("it names \"{}\" without an address", node.host())),
            };
            discovery.nodes.iter().map(server).collect::<Result<Vec<_>, String>>()
        });
        if let Err(wrong) = found.and_then(|servers| self.publish(number, servers)) {
            line.by.set(DiscoverBy::Config);
            return self.keep(line, &wrong);
        }
        line.said.take();
    }

    /// The line's servers stay as they are, for a reason.
    fn keep(&self, line: &Line, why: &str) {
        if *line.said.borrow() != why {
            line.said.replace(why.to_string());
            let name = self.name_of(line);
            self.log.warn(format_args!("memcache: the servers of \"{name}\" stay as they are: {why}"));
        }
    }

    fn name_of(&self, line: &Line) -> String {
        let server = self.config.servers.get(line.source.server);
        server.map(|server| server.name.escape_ascii().to_string()).unwrap_or_default()
    }

    /// What is published, and its version.
    fn current(&self) -> (u64, Members) {
        let read = self.published.read();
        let version = read.as_ref().map_or_else(|| self.published.version(), |(version, _)| *version);
        let members = read.and_then(|(_, text)| Members::decode(&text, self.lines.len()));
        (version, members.unwrap_or_default())
    }

    fn publish(&self, number: usize, servers: Vec<(String, SocketAddr)>) -> Result<(), String> {
        let (version, mut members) = self.current();
        let Some(renewed) = members.set(number, servers) else { return Ok(()) };
        let list = self.list(&members);
        let configs: Vec<_> = list.iter().map(|(config, ..)| config.clone()).collect();
        MembershipError::check(self.config.hash, &configs).map_err(|wrong| wrong.to_string())?;
        let text = members.encode();
        if text.len() > MAX_PUBLISHED {
            return Err(format!("the list is longer than {MAX_PUBLISHED} bytes"));
        }
        if self.published.right.take(pid(), ASKER_TIME, clock::now()).is_err() {
            return Ok(());
        }
        renewed.into_iter().for_each(|renewed| self.renew(renewed));
        if !self.published.publish(text.as_bytes(), version) {
            return Ok(());
        }
        let without = list.iter().filter(|(.., record)| record.is_none()).count();
        if without > 0 && !self.records.is_empty() {
            self.log.warn(format_args!(
                "memcache: the zone has no room for {without} of the servers that were found, each worker knows and counts for itself"
            ));
        }
        let (version, servers) = (version.wrapping_add(1), list.len());
        self.log.notice(format_args!("memcache: version {version} of the list has {servers} servers"));
        if let Some(driver) = self.driver.upgrade() {
            driver.look_at_list();
        }
        Ok(())
    }

    fn renew(&self, renewed: Renewed) {
        let (number, all) = match renewed {
            Renewed::Health(number) => (number, false),
            Renewed::All(number) => (number, true),
        };
        let Some(record) = self.records.get(self.config.servers.len().saturating_add(number)) else { return };
        record.shared_health.into_iter().for_each(shm::clear);
        if all {
            let counters = record.tables.iter().filter_map(|(_, counters)| *counters).flatten();
            counters.chain(record.rest).for_each(shm::clear);
            record.switch.into_iter().for_each(shm::clear);
        }
    }

    /* every worker */

    /// The cluster's servers: line by line, each name once. With the numbers of their records.
    fn list(&self, members: &Members) -> Vec<(ServerConfig, Host, Option<usize>)> {
        let mut list = Vec::new();
        for (at, (server, host)) in self.config.servers.iter().zip(&self.hosts).enumerate() {
            let line = self.lines.iter().position(|line| line.source.server == at);
            match line.and_then(|line| members.line(line)) {
                None => list.push((server.clone(), host.clone(), Some(at))),
                Some(found) => list.extend(found.iter().map(|member| {
                    let config = ServerConfig { name: member.name.clone().into(), addresses: 1, ..server.clone() };
                    let record = member.record.map(|record| self.config.servers.len().saturating_add(record));
                    (config, Host { addresses: Addresses::at(member.address), followed: None }, record)
                })),
            }
        }
        let mut names = HashSet::new();
        list.retain(|(config, ..)| names.insert(config.name.clone()));
        list
    }
}

impl List for Follower {
    fn is_new(&self) -> bool {
        self.published.version() != self.seen.get()
    }

    fn give(&self, driver: &Driver) {
        let Some((version, text)) = self.published.read() else { return };
        let members = Members::decode(&text, self.lines.len());
        let list = members.map(|members| self.list(&members)).unwrap_or_default();
        let shown = list.iter().map(|(config, _, record)| (config.name.clone(), *record)).collect();
        let member = |(config, host, record): (ServerConfig, Host, Option<usize>)| {
            let memory = record.and_then(|record| self.memory.get(record)).cloned().unwrap_or_default();
            Member { config, host, memory }
        };
        let Some(done) = driver.set_servers(version, list.into_iter().map(member).collect()) else { return };
        self.seen.set(version);
        match done {
            Ok(()) => drop(self.shown.replace(shown)),
            Err(wrong) => self.log.error(format_args!("memcache: version {version} of the list is not used: {wrong}")),
        }
    }
}
