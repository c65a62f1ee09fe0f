//! The clusters of a configuration: lists of servers, each with one client per worker.

#![allow(unsafe_code)]

use core::cell::RefCell;
use core::ffi::c_void;
use core::ptr::{self, addr_of, NonNull};

use std::rc::Rc;

use memcache_engine::{Config, Subset, MAX_SUBSETS};
use nginx_sys::{ngx_conf_t, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_module, ngx_pool_t};
use once_cell::unsync::OnceCell;

use crate::abi::MAX_RETAINED;
use crate::conf::{Addresses, Place, Want};
use crate::ctx_index;
use crate::driver::Driver;
use crate::nginx::pool;
use crate::worker::{self, NotAvailable};
use crate::zone::{Record, Zone};

/// A list of servers with its settings. It lives in the pool of the configuration.
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
            worker::check_process()?;
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

/// The module's main configuration.
#[derive(Default)]
pub struct Clusters {
    /// In the order of the server blocks. Invariant: they live in the pool that this value lives in.
    pub list: Vec<NonNull<Cluster>>,
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
    /// The main configuration that is being read.
    ///
    /// # Safety
    ///
    /// `cf` is what nginx passes while it reads or merges the http block, and the configuration outlives the borrow,
    /// the only one at that time.
    pub unsafe fn of_conf<'a>(cf: *mut ngx_conf_t) -> Option<&'a mut Clusters> {
        // SAFETY: by the contract, the context is that of the http block or of a block in it; `main_conf` of each of
        // them is the one array of main configurations, and ours was made by `create_main_conf`.
        unsafe {
            let ctx = (*cf).ctx.cast::<ngx_http_conf_ctx_t>().as_ref()?;
            (*ctx.main_conf.add(ctx_index())).cast::<Clusters>().as_mut()
        }
    }

    /// The main configuration of a cycle; `None` if it has no http block.
    ///
    /// # Safety
    ///
    /// `cycle` is there and outlives the borrow; its configuration has been read.
    pub unsafe fn of_cycle<'a>(cycle: *const ngx_cycle_t) -> Option<&'a Clusters> {
        // SAFETY: by the contract. nginx's first and its last cycle have no configurations; without an http block, its
        // place is NULL; with one, there is a main configuration of every HTTP module.
        unsafe {
            let contexts = cycle.as_ref()?.conf_ctx;
            if contexts.is_null() {
                return None;
            }
            let ctx = (*contexts.add(addr_of!(ngx_http_module.index).read())).cast::<ngx_http_conf_ctx_t>().as_ref()?;
            (*ctx.main_conf.add(ctx_index())).cast::<Clusters>().as_ref()
        }
    }

    /// How many bytes of values siblings may keep, in a worker.
    pub fn max_retained(&self) -> usize {
        self.max_retained.unwrap_or(MAX_RETAINED)
    }

    /// The clusters.
    pub fn iter(&self) -> impl Iterator<Item = &Cluster> {
        // SAFETY: they live as long as `self`, by the invariant of the list, and nobody has a `&mut` to one.
        self.list.iter().map(|cluster| unsafe { cluster.as_ref() })
    }

    /// What siblings know by this address, if it is a client of these or a subset of one. The address may be anything.
    pub fn find(&self, handle: *const c_void) -> Option<(&Cluster, Subset)> {
        self.iter().find_map(|cluster| Some((cluster, cluster.subset_of(handle)?)))
    }

    /// Whether this is one of these; it may be one of another configuration.
    pub fn contains(&self, cluster: NonNull<Cluster>) -> bool {
        self.list.contains(&cluster)
    }

    /// The cluster with this configuration, a new one if there is none yet. `None`: no memory.
    ///
    /// # Safety
    ///
    /// `pool` is the pool that `self` lives in.
    pub unsafe fn share(
        &mut self,
        config: Config,
        addresses: Vec<Addresses>,
        on_demand: bool,
        pool: *mut ngx_pool_t,
    ) -> Option<NonNull<Cluster>> {
        if let Some(cluster) = self.iter().find(|cluster| cluster.config == config) {
            return Some(cluster.into());
        }
        let handles = [0; 1 + MAX_SUBSETS];
        let (used_by, records) = (RefCell::default(), RefCell::default());
        let cluster = Cluster { config, addresses, on_demand, handles, used_by, records, driver: OnceCell::new() };
        // SAFETY: the pool is there, and what a cluster's `Drop` uses, nginx's events, outlives every pool.
        let cluster = unsafe { pool::place(pool, cluster) }?;
        self.list.push(cluster);
        Some(cluster)
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
