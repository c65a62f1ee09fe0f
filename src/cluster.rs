//! The clusters of a configuration: lists of servers, each with one client per worker.

#![forbid(unsafe_code)]

use core::cell::RefCell;
use core::ffi::c_void;
use core::ptr;

use std::rc::Rc;

use memcache_engine::{Config, Subset, MAX_SUBSETS};
use once_cell::unsync::OnceCell;

use crate::abi::MAX_RETAINED;
use crate::driver::Driver;
use crate::nginx::address::Addresses;
use crate::nginx::conf::{Block, Conf, Place};
use crate::nginx::process::{check_process, NotAvailable};
use crate::zone::{Record, Zone};

/// A list of servers with its settings. It goes with the configuration.
pub struct Cluster {
    /// What the client is made of.
    pub config: Config,
    /// The socket addresses of each server, in the same order.
    pub addresses: Vec<Addresses>,
    /// No server block uses it: there is a client only if a sibling asks for it.
    pub on_demand: bool,
    /// Siblings know the client by the address of the first one, and its subsets by those of the others.
    handles: [u8; 1 + MAX_SUBSETS],
    /// Names of the `server` blocks that use it, [`MAX_USERS`] at most.
    pub used_by: RefCell<Vec<Vec<u8>>>,
    /// The servers' memory in the zone, in the same order; empty without a zone.
    pub records: RefCell<Vec<Record>>,
    /// The client of this worker, once there is one. Never in the master.
    driver: OnceCell<Rc<Driver>>,
}

/// How many names of `server` blocks are kept to show them.
const MAX_USERS: usize = 8;

impl Cluster {
    /// Notes that the block with this `server_name` uses it.
    pub fn used_by(&self, server: &[u8]) {
        let mut names = self.used_by.borrow_mut();
        if names.len() < MAX_USERS && !server.is_empty() && !names.iter().any(|name| name == server) {
            names.push(server.to_vec());
        }
    }

    /// The client of this worker. It is made when it is first asked for, so that it does not matter which module's
    /// `init_process` runs first.
    pub fn driver(&self) -> Result<&Driver, NotAvailable> {
        match self.driver.get() {
            Some(driver) => Ok(driver),
            None => self.begin(),
        }
    }

    #[cold]
    fn begin(&self) -> Result<&Driver, NotAvailable> {
        let driver = self.driver.get_or_try_init(|| {
            check_process()?;
            Driver::new(self)
        })?;
        driver.start();
        Ok(driver)
    }

    /// What siblings know a subset of the servers by. Nothing is there: the address is looked up, and not followed.
    pub fn handle(&self, subset: Subset) -> Option<*const c_void> {
        self.handles.get(subset.index()).map(|handle| ptr::from_ref(handle).cast())
    }

    /// The subset that siblings know by this address, if it is one of this client's.
    fn subset_of(&self, handle: *const c_void) -> Option<Subset> {
        let index = handle.addr().checked_sub(self.handles.as_ptr().addr())?;
        (index < self.handles.len()).then(|| Subset::from_index(index))
    }

    /// The client of this worker, if there is one.
    pub fn running(&self) -> Option<&Driver> {
        self.driver.get().map(|driver| &**driver)
    }
}

/// A line of a sibling that is of no use without a client.
pub struct Want {
    /// The block that it is in.
    pub block: Block,
    /// The name of the directive.
    pub directive: String,
    /// Where it is.
    pub place: Place,
}

impl Want {
    /// The line that is being read; `None` if it is in no block of HTTP.
    pub fn of_line(line: &Conf<'_>) -> Option<Want> {
        let directive = line.name().escape_ascii().to_string();
        Some(Want { block: line.block()?, directive, place: line.place() }).filter(|want| !want.directive.is_empty())
    }
}

/// The module's main configuration.
#[derive(Default)]
pub struct Clusters {
    /// In the order of the server blocks.
    pub list: Vec<Rc<Cluster>>,
    /// The first `memcache_status`.
    pub status: Option<Place>,
    /// Server blocks without a client.
    pub blocks_without: usize,
    /// Lines of siblings that need a client.
    pub wanted: Vec<Want>,
    /// `memcache_zone`
    pub zone: Option<Zone>,
    /// `memcache_max_retained`
    pub max_retained: Option<usize>,
}

impl Clusters {
    /// How many bytes of values siblings may keep, in a worker.
    pub fn max_retained(&self) -> usize {
        self.max_retained.unwrap_or(MAX_RETAINED)
    }

    /// The clusters.
    pub fn iter(&self) -> impl Iterator<Item = &Cluster> {
        self.list.iter().map(Rc::as_ref)
    }

    /// What siblings know by this address, if it is a client of these or a subset of one. The address may be anything.
    pub fn find(&self, handle: *const c_void) -> Option<(&Cluster, Subset)> {
        self.iter().find_map(|cluster| Some((cluster, cluster.subset_of(handle)?)))
    }

    /// Whether this is one of these; it may be one of another configuration.
    pub fn contains(&self, cluster: &Rc<Cluster>) -> bool {
        self.list.iter().any(|one| Rc::ptr_eq(one, cluster))
    }

    /// The cluster with this configuration, a new one if there is none yet.
    pub fn share(&mut self, config: Config, addresses: Vec<Addresses>, on_demand: bool) -> Rc<Cluster> {
        if let Some(cluster) = self.list.iter().find(|cluster| cluster.config == config) {
            return cluster.clone();
        }
        let handles = [0; 1 + MAX_SUBSETS];
        let (used_by, records) = (RefCell::default(), RefCell::default());
        let cluster = Cluster { config, addresses, on_demand, handles, used_by, records, driver: OnceCell::new() };
        let cluster = Rc::new(cluster);
        self.list.push(cluster.clone());
        cluster
    }

    /// How many servers there are in all clusters.
    pub fn servers(&self) -> usize {
        self.iter().map(|cluster| cluster.config.servers.len()).fold(0, usize::saturating_add)
    }

    /// How many connections the pools of a worker may come to, without those of clients that nobody may ask for.
    pub fn connections(&self) -> usize {
        let max = |server: &memcache_engine::ServerConfig| server.pool.max() as usize;
        self.iter()
            .filter(|cluster| !cluster.on_demand)
            .flat_map(|cluster| &cluster.config.servers)
            .map(max)
            .fold(0, usize::saturating_add)
    }
}
