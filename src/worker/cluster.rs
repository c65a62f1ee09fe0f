//! A cluster: a list of servers, with one client per worker.

#![forbid(unsafe_code)]

use core::cell::{Cell, RefCell};
use core::ffi::c_void;
use core::ptr;

use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use memcache_engine::limits::MAX_RECORDS;
use memcache_engine::shared::Published;
use memcache_engine::{
    Asker, Config, ModuleId, ServerConfig, ServerMemory, Subset, WorkerMemory, MAX_MODULES, MAX_SUBSETS,
};
use once_cell::unsync::OnceCell;

use super::members::{Follower, Parts, Source};
use super::record::Record;
use crate::driver::host::Host;
use crate::driver::Driver;
use crate::nginx::process::{check_process, NotAvailable};
use crate::nginx::ssl::Context;

/// A list of servers with its settings. It lives as long as the configuration.
pub struct Cluster {
    /// The configuration of the client.
    pub config: Config,
    /// Where each server is, in the same order.
    pub hosts: Vec<Host>,
    /// The lines whose servers change while nginx runs.
    pub sources: Vec<Source>,
    /// How its connections are secured; unset: not at all.
    pub tls: OnceCell<Rc<Context>>,
    /// No server block uses it. It has a client only if a sibling asks for it.
    pub on_demand: bool,
    /// The handles for siblings: the address of the first byte is the client's, those of the others of its row are its
    /// subsets'. Each module has a row; the first one is that of modules that have not said who they are.
    handles: [[u8; SUBSETS]; 1 + MAX_MODULES],
    /// Names of the `server` blocks that use it, at most [`MAX_USERS`].
    pub used_by: RefCell<Vec<Vec<u8>>>,
    /// The servers' memory in the zone, in the same order, and behind it that of servers that come later; empty without a zone.
    pub records: RefCell<Vec<Record>>,
    /// The list that all workers share; `None`: they do not, or it does not change.
    pub published: Cell<Option<&'static Published>>,
    /// Where this worker gets the list from, if it changes.
    follower: OnceCell<Rc<Follower>>,
    /// The client of this worker, once there is one. Never in the master.
    driver: OnceCell<Rc<Driver>>,
}

/// A client, and its subsets.
const SUBSETS: usize = 1 + MAX_SUBSETS;

/// The names of clusters, and whether no other one has the same.
pub fn labels(clusters: &[Rc<Cluster>]) -> Vec<(Vec<u8>, bool)> {
    let names: Vec<_> = clusters.iter().map(|cluster| cluster.label()).collect();
    let mut times: HashMap<&[u8], usize> = HashMap::new();
    for name in &names {
        let times = times.entry(name).or_default();
        *times = times.saturating_add(1);
    }
    let is_unique: Vec<_> = names.iter().map(|name| times.get(&name[..]) == Some(&1)).collect();
    names.into_iter().zip(is_unique).collect()
}

/// How many names of `server` blocks are kept for the status.
const MAX_USERS: usize = 8;

impl Cluster {
    /// Notes that the block with this `server_name` uses it.
    pub fn used_by(&self, server: &[u8]) {
        let mut names = self.used_by.borrow_mut();
        if names.len() < MAX_USERS && !server.is_empty() && !names.iter().any(|name| name == server) {
            names.push(server.to_vec());
        }
    }

    /// Its name, as the status has it: its own, that of the first server block which uses it, or of its first server.
    pub fn label(&self) -> Vec<u8> {
        if !self.config.name.is_empty() {
            return self.config.name.to_vec();
        }
        let server = || self.config.servers.first().map(|server| server.name.to_vec());
        self.used_by.borrow().iter().min().cloned().or_else(server).unwrap_or_default()
    }

    /// Without a client, which starts when it is first asked for.
    pub fn new(config: Config, hosts: Vec<Host>, sources: Vec<Source>, on_demand: bool) -> Cluster {
        let handles = [[0; SUBSETS]; 1 + MAX_MODULES];
        let (used_by, records) = (RefCell::default(), RefCell::default());
        Cluster {
            config,
            hosts,
            sources,
            tls: OnceCell::new(),
            on_demand,
            handles,
            used_by,
            records,
            published: Cell::default(),
            follower: OnceCell::new(),
            driver: OnceCell::new(),
        }
    }

    /// The client of this worker, which begins now. `worker_memory`: what it shares with those of other workers. `whose`: what is
    /// behind lines about a server.
    #[cold]
    pub fn start(
        &self,
        worker_memory: impl FnOnce() -> WorkerMemory,
        whose: impl Fn(&ServerConfig) -> String,
    ) -> Result<&Driver, NotAvailable> {
        let driver = self.driver.get_or_try_init(|| {
            check_process()?;
            let memory = worker_memory();
            let all = if self.changes() { memory.servers.clone() } else { Vec::new() };
            let driver = Driver::new(&self.config, &self.hosts, self.tls.get(), memory, whose)?;
            if self.changes() {
                self.follower.get_or_try_init(|| Follower::new(self.parts(all), &driver))?.begin();
            }
            Ok(driver)
        })?;
        driver.start();
        Ok(driver)
    }

    /// The handle of a module for a subset. The address is only compared, and never dereferenced.
    pub fn handle(&self, asker: Asker) -> Option<*const c_void> {
        let row = self.handles.get(asker.module.index())?;
        row.get(asker.subset.index()).map(|handle| ptr::from_ref(handle).cast())
    }

    /// Whose handle it is, if it is one of this client's.
    pub fn asker_of(&self, handle: *const c_void) -> Option<Asker> {
        let index = handle.addr().checked_sub(self.handles.as_ptr().addr())?;
        let (module, subset) = (index / SUBSETS, index % SUBSETS);
        let (module, subset) = (ModuleId::from_index(module), Subset::from_index(subset));
        (index < size_of_val(&self.handles)).then_some(Asker { subset, module })
    }

    /// Whether the list of servers changes while nginx runs.
    pub fn changes(&self) -> bool {
        !self.sources.is_empty()
    }

    /// The servers that have memory in a zone.
    pub fn all_records(&self) -> usize {
        let later = if self.changes() { MAX_RECORDS } else { 0 };
        self.config.servers.len().saturating_add(later)
    }

    fn parts(&self, memory: Vec<ServerMemory>) -> Parts<'_> {
        Parts {
            config: &self.config,
            hosts: &self.hosts,
            sources: &self.sources,
            tls: self.tls.get(),
            published: self.published.get(),
            records: self.records.borrow().clone(),
            memory,
        }
    }

    /// What tells the list from others of the same settings: its lines.
    pub fn lines(&self) -> Vec<u8> {
        let is_source =
            |at| if self.sources.iter().any(|source| source.server == at) { b" changes" } else { b" is here" };
        let line = |(at, server): (usize, &ServerConfig)| [&server.name[..], is_source(at), b"\n"].concat();
        self.config.servers.iter().enumerate().flat_map(line).collect()
    }

    /// The memory in the zone of the server at this place of the list.
    pub fn record(&self, place: usize) -> Option<Record> {
        let number = self.follower.get().map_or(Some(place), |follower| follower.record(place))?;
        self.records.borrow().get(number).cloned()
    }

    /// The names of the servers of the list, with their memory in the zone.
    pub fn members(&self) -> Vec<(Bytes, Option<Record>)> {
        let configured = || self.config.servers.iter().map(|server| server.name.clone()).collect();
        let names: Vec<Bytes> = self.follower.get().map_or_else(configured, |follower| follower.names());
        names.into_iter().enumerate().map(|(place, name)| (name, self.record(place))).collect()
    }

    /// The worker exits.
    pub fn shut_down(&self) {
        if let Some(driver) = self.running() {
            driver.shut_down();
        }
        if let Some(follower) = self.follower.get() {
            follower.end();
        }
    }

    /// The client of this worker, if there is one.
    pub fn running(&self) -> Option<&Driver> {
        self.driver.get().map(|driver| &**driver)
    }
}
