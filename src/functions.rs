//! The functions for siblings, behind the function table of `abi`.

#![forbid(unsafe_code)]

use core::ffi::c_void;

use memcache_engine::{Asker, CallId, Error, ServerId, State, Subset, SubsetError, MAX_MODULES, MAX_SUBSETS};
use nginx_sys::ngx_str_t;

use crate::abi::binding::Calls;
use crate::abi::callback::Callback;
use crate::abi::operation::{Many, Operation};
use crate::abi::outcome::{status_of, Status};
use crate::abi::sys::*;
use crate::abi::table::{self, Handle};
use crate::conf::block::ServerConf;
use crate::driver::{Driver, SubmitError};
use crate::nginx::conf::Conf;
use crate::nginx::module::Address;
use crate::nginx::process::on_event_loop;
use crate::worker;
use crate::worker::cluster::Cluster;
use crate::worker::clusters::{Clusters, Requirement};
use crate::worker::location::LocationConf;

const _: () = assert!(NGX_HTTP_MEMCACHE_MAX_SUBSETS as usize == MAX_SUBSETS);
const _: () = assert!(NGX_HTTP_MEMCACHE_MAX_MODULES as usize == MAX_MODULES);

/// The functions.
pub struct Functions;

impl table::Functions for Functions {
    type Conf = ServerConf;
    type Location = LocationConf;
    type Target<'a> = Target<'a>;

    fn check_caller() -> Result<usize, Status> {
        clusters().map(Clusters::max_retained)
    }

    fn client_of_request(location: &LocationConf) -> Result<Handle, Status> {
        let cluster = location.cluster.as_deref().ok_or(NGX_HTTP_MEMCACHE_NOT_CONFIGURED)?;
        match cluster.running() {
            Some(_) => handle(cluster, Asker::default()),
            None => start(clusters()?, cluster),
        }
    }

    fn client_of_conf(location: Option<&LocationConf>, conf: &ServerConf) -> Result<Handle, Status> {
        let cluster = location.and_then(|location| location.cluster.as_ref()).or(conf.cluster.as_ref());
        let cluster = cluster.ok_or(NGX_HTTP_MEMCACHE_NOT_CONFIGURED)?;
        let clusters = clusters()?;
        if !clusters.contains(cluster) {
            return Err(NGX_HTTP_MEMCACHE_STALE);
        }
        start(clusters, cluster)
    }

    fn client_of_name(name: &[u8]) -> Result<Handle, Status> {
        let clusters = clusters()?;
        start(clusters, clusters.named(name).ok_or(NGX_HTTP_MEMCACHE_NOT_CONFIGURED)?)
    }

    fn find<'a>(client: *const c_void) -> Result<Target<'a>, Status> {
        let clusters = clusters()?;
        if client.is_null() {
            return Err(NGX_HTTP_MEMCACHE_INVALID);
        }
        let (cluster, asker) = clusters.find(client).ok_or(NGX_HTTP_MEMCACHE_STALE)?;
        let driver = cluster.running().ok_or(NGX_HTTP_MEMCACHE_NOT_AVAILABLE)?;
        if !driver.has_module(asker.module) {
            return Err(NGX_HTTP_MEMCACHE_STALE);
        }
        let target = Target { cluster, driver, asker };
        if asker.subset != Subset::ALL && table::Target::servers(&target) == 0 {
            return Err(NGX_HTTP_MEMCACHE_STALE);
        }
        Ok(target)
    }

    fn require(line: &mut Conf<'_>, name: Option<&[u8]>) -> Result<(), Status> {
        let requirement = Requirement::of_line(line, name).ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        line.main::<Clusters>().ok_or(NGX_HTTP_MEMCACHE_INVALID)?.requirements.push(requirement);
        Ok(())
    }
}

/// The worker's clusters, if this is a worker and its event loop's thread.
fn clusters<'a>() -> Result<&'a Clusters, Status> {
    let clusters = worker::clusters().map_err(|_| NGX_HTTP_MEMCACHE_NOT_AVAILABLE)?;
    if on_event_loop() {
        Ok(clusters)
    } else {
        Err(NGX_HTTP_MEMCACHE_WRONG_THREAD)
    }
}

/// The handle of a cluster's client, which is started if needed.
fn start(clusters: &Clusters, cluster: &Cluster) -> Result<Handle, Status> {
    clusters.driver(cluster).map_err(|_| NGX_HTTP_MEMCACHE_NOT_AVAILABLE)?;
    handle(cluster, Asker::default())
}

fn handle(cluster: &Cluster, asker: Asker) -> Result<Handle, Status> {
    cluster.handle(asker).ok_or(NGX_HTTP_MEMCACHE_INTERNAL)
}

/// The client, or subset of one, behind a handle, and the module that has it.
pub struct Target<'a> {
    cluster: &'a Cluster,
    driver: &'a Driver,
    asker: Asker,
}

impl Target<'_> {
    fn id(&self, index: usize) -> Option<ServerId> {
        self.driver.view(|client| client.server_at(self.asker.subset, index)).flatten()
    }
}

impl table::Target for Target<'_> {
    fn calls(&self) -> &(dyn Calls + 'static) {
        self.driver
    }

    fn max_value(&self) -> usize {
        self.cluster.config.max_value
    }

    fn submit(&self, operation: Operation<'_>, callback: Callback) -> Result<CallId, Status> {
        let accepted = match operation {
            Operation::Keyed(request) => self.driver.submit(self.asker, request, callback),
            Operation::TooLarge { key, size } => self.driver.refuse_value(self.asker, key, size, callback),
            Operation::OnServer { server, verb, timeout } => {
                let server = self.id(server).unwrap_or(ServerId::MAX);
                self.driver.submit_to(self.asker.module, server, verb, timeout, callback)
            }
        };
        accepted.map_err(submit_status)
    }

    fn submit_many(&self, gets: &Many<'_>, callback: Callback) -> Result<CallId, Status> {
        let accepted = self.driver.submit_many(self.asker, gets.keys(), gets.touch, gets.timeout, callback);
        accepted.map_err(submit_status)
    }

    fn servers(&self) -> usize {
        self.driver.view(|client| client.places(self.asker.subset)).unwrap_or(0)
    }

    fn server(&self, index: usize) -> Result<ngx_http_memcache_server_t, Status> {
        let id = self.id(index).ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        let now = self.driver.view(|client| {
            let view = client.server(id)?;
            let (pool, name) = (view.config.pool, &view.config.name);
            Some(ngx_http_memcache_server_t {
                size: 0,
                // It stays where it is while the server has its place.
                address: ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() },
                state: match view.state {
                    State::Live => NGX_HTTP_MEMCACHE_STATE_LIVE,
                    State::Down => NGX_HTTP_MEMCACHE_STATE_DOWN,
                    State::Disabled => NGX_HTTP_MEMCACHE_STATE_DISABLED,
                },
                weight: view.config.weight,
                min: pool.min(),
                smax: pool.smax(),
                max: pool.max(),
                ttl: pool.ttl(),
                open: count(view.open),
                idle: count(view.idle),
                pending: count(view.pending),
                queued: count(view.queued),
            })
        });
        now.flatten().ok_or(NGX_HTTP_MEMCACHE_INVALID)
    }

    fn set_enabled(&self, index: usize, enabled: bool) -> Result<(), Status> {
        let id = self.id(index).ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        match self.driver.set_enabled(id, enabled) {
            Some(true) => Ok(()),
            Some(false) => Err(NGX_HTTP_MEMCACHE_INVALID),
            None => Err(NGX_HTTP_MEMCACHE_INTERNAL),
        }
    }

    fn server_of_key(&self, key: &[u8]) -> Result<usize, Status> {
        let found = self.driver.view(|client| {
            let id = client.server_within(self.asker.subset, key)?;
            Ok(client.place_of(self.asker.subset, id))
        });
        let found = found.ok_or(NGX_HTTP_MEMCACHE_INTERNAL)?.map_err(|error: Error| status_of(&error))?;
        found.ok_or(NGX_HTTP_MEMCACHE_INTERNAL)
    }

    fn subset(&self, servers: &[usize]) -> Result<Handle, Status> {
        let subset = self.driver.subset(self.asker.subset, servers).ok_or(NGX_HTTP_MEMCACHE_INTERNAL)?;
        let subset = subset.map_err(|error| match error {
            SubsetError::Servers => NGX_HTTP_MEMCACHE_INVALID,
            SubsetError::TooMany => NGX_HTTP_MEMCACHE_TOO_MANY,
        })?;
        handle(self.cluster, Asker { subset, ..self.asker })
    }

    fn of_module(&self, module: Address) -> Result<Handle, Status> {
        let module = self.driver.module(module).ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        handle(self.cluster, Asker { module, ..self.asker })
    }
}

fn submit_status(error: SubmitError) -> Status {
    match error {
        SubmitError::Client(error) => status_of(&error),
        SubmitError::InUse => NGX_HTTP_MEMCACHE_INTERNAL,
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
