//! The clusters of a configuration, and what they have in common.

#![forbid(unsafe_code)]

use core::ffi::c_void;
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use memcache_engine::{Asker, Config, ServerConfig, WorkerMemory};
use once_cell::unsync::OnceCell;

use super::cluster::Cluster;
use super::effect::Effects;
use super::location::Use;
use super::members::Source;
use super::zone::Zone;
use crate::abi::retained::MAX_RETAINED;
use crate::driver::host::Host;
use crate::driver::Driver;
use crate::nginx::conf::{Block, Conf, LineError, Position};
use crate::nginx::log::Log;
use crate::nginx::process::NotAvailable;
use crate::nginx::shm::{HasZone, Memory};

/// A line of a sibling that needs a client.
pub struct Requirement {
    /// Its block.
    pub block: Block,
    /// The name of the directive.
    pub directive: String,
    /// Its position.
    pub position: Position,
    /// The `memcache_cluster` that it names.
    pub uses: Option<Use>,
}

impl Requirement {
    /// The line that is being read; `None` if it is in no block of HTTP.
    pub fn of_line(line: &Conf<'_>, name: Option<&[u8]>) -> Option<Requirement> {
        let directive = line.name().escape_ascii().to_string();
        let position = line.position();
        let uses = name.map(|name| Use { name: Bytes::copy_from_slice(name), position: position.clone() });
        Some(Requirement { block: line.block()?, directive, position, uses })
            .filter(|requirement| !requirement.directive.is_empty())
    }
}

/// The module's main configuration.
#[derive(Default)]
pub struct Clusters {
    /// In the order of the server blocks.
    pub list: Vec<Rc<Cluster>>,
    /// The first `memcache_status`.
    pub status: Option<Position>,
    /// The `memcache_control` lines.
    pub controls: Vec<(Block, Position)>,
    /// Server blocks without a client.
    pub blocks_without: usize,
    /// Lines of siblings that need a client.
    pub requirements: Vec<Requirement>,
    /// `memcache_zone`
    pub zone: Option<Zone>,
    /// `memcache_max_retained`
    pub max_retained: Option<usize>,
    /// Lines that may have no effect.
    pub effects: Effects,
    /// How many clients have a server of a name; counted when a worker first needs it.
    times: OnceCell<HashMap<Bytes, u32>>,
}

impl Clusters {
    /// The client of one of them in this worker. It is made at the first call, so that the order of the modules'
    /// `init_process` does not matter.
    pub fn driver<'a>(&self, cluster: &'a Cluster) -> Result<&'a Driver, NotAvailable> {
        match cluster.running() {
            Some(driver) => Ok(driver),
            None => cluster.start(
                || {
                    self.zone
                        .as_ref()
                        .map_or_else(WorkerMemory::default, |zone| zone.worker_memory(cluster, &self.list))
                },
                |server| self.whose(cluster, server),
            ),
        }
    }

    /// The server blocks of a server, for the end of a line in the log, if several clients have a server of this name: each
    /// has its own connections and errors.
    fn whose(&self, cluster: &Cluster, server: &ServerConfig) -> String {
        let times = self.times.get_or_init(|| {
            let mut times: HashMap<Bytes, u32> = HashMap::new();
            for server in self.iter().flat_map(|cluster| &cluster.config.servers) {
                let times = times.entry(server.name.clone()).or_default();
                *times = times.saturating_add(1);
            }
            times
        });
        if times.get(&server.name).is_none_or(|&times| times < 2) {
            return String::new();
        }
        if !cluster.config.name.is_empty() {
            return format!(", cluster: {}", String::from_utf8_lossy(&cluster.config.name));
        }
        let blocks = cluster.used_by.borrow();
        let names: Vec<_> = blocks.iter().map(|name| String::from_utf8_lossy(name)).collect();
        format!(", server: {}", if names.is_empty() { "-".into() } else { names.join(" ") })
    }

    /// How many bytes of values siblings may keep, in a worker.
    pub fn max_retained(&self) -> usize {
        self.max_retained.unwrap_or(MAX_RETAINED)
    }

    /// The clusters.
    pub fn iter(&self) -> impl Iterator<Item = &Cluster> {
        self.list.iter().map(Rc::as_ref)
    }

    /// The client, or the subset of one, with this handle. The address may be anything.
    pub fn find(&self, handle: *const c_void) -> Option<(&Cluster, Asker)> {
        self.iter().find_map(|cluster| Some((cluster, cluster.asker_of(handle)?)))
    }

    /// Whether this cluster belongs to this configuration.
    pub fn contains(&self, cluster: &Rc<Cluster>) -> bool {
        self.list.iter().any(|one| Rc::ptr_eq(one, cluster))
    }

    /// The cluster with this configuration, a new one if there is none yet.
    pub fn share(&mut self, config: Config, hosts: Vec<Host>, sources: Vec<Source>, on_demand: bool) -> Rc<Cluster> {
        // Blocks with resolvers of their own may find other addresses.
        let follow = |cluster: &Cluster| {
            let mut pairs = cluster.hosts.iter().zip(&hosts);
            pairs.all(|(one, other)| one.followed == other.followed)
        };
        if let Some(cluster) =
            self.list.iter().find(|cluster| cluster.config == config && cluster.sources == sources && follow(cluster))
        {
            return cluster.clone();
        }
        let cluster = Rc::new(Cluster::new(config, hosts, sources, on_demand));
        self.list.push(cluster.clone());
        cluster
    }

    /// The cluster of this name, if there is a `memcache_cluster` with it.
    pub fn named(&self, name: &[u8]) -> Option<&Rc<Cluster>> {
        self.list.iter().find(|cluster| !name.is_empty() && cluster.config.name == name)
    }

    /// The cluster that a line uses.
    pub fn used(&self, Use { name, position }: &Use) -> Result<Rc<Cluster>, LineError> {
        let unknown =
            || LineError::At(format!("there is no memcache cluster \"{}\"", name.escape_ascii()), position.clone());
        self.named(name).cloned().ok_or_else(unknown)
    }

    /// The most connections of all pools in a worker, without clients that cannot be asked for.
    pub fn connections(&self) -> usize {
        let max = |server: &memcache_engine::ServerConfig| server.pool.max() as usize;
        self.iter()
            .filter(|cluster| !cluster.on_demand)
            .flat_map(|cluster| &cluster.config.servers)
            .map(max)
            .fold(0, usize::saturating_add)
    }
}

impl HasZone for Clusters {
    fn init(&self, before: Option<&Clusters>, memory: Option<Memory>, log: Log<'_>) -> Option<()> {
        let before = before.and_then(|before| before.zone.as_ref());
        let control = self.controls.first().map(|(_, position)| position);
        self.zone.as_ref()?.fill(&self.list, before, memory, control, log)
    }
}
