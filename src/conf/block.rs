//! The module's configuration of a server block.

#![forbid(unsafe_code)]

use std::rc::Rc;

use super::settings::{Named, Settings};
use crate::nginx::conf::directive::Block;
use crate::nginx::conf::{Conf, LineError, Merge};
use crate::nginx::resolver::Resolver;
use crate::nginx::ssl::Context;
use crate::worker::cluster::Cluster;
use crate::worker::clusters::Clusters;

/// The settings of a server block, and its cluster.
#[derive(Default)]
pub struct ServerConf {
    /// Its own settings, until it has inherited others.
    pub settings: Settings,
    /// The `memcache_cluster` blocks, in the http block.
    pub named: Vec<Named>,
    /// The cluster that the block uses. It is known when the block has inherited; `None` without a `memcache_server`.
    pub cluster: Option<Rc<Cluster>>,
}

/// Prepares what connections of the cluster are secured by.
pub fn secure(conf: &Conf<'_>, cluster: &Cluster, settings: &Settings) -> Result<(), LineError> {
    if let Some(options) = settings.ssl.options()? {
        cluster.tls.get_or_try_init(|| Context::new(conf, options).map(Rc::new))?;
    }
    Ok(())
}

impl Block for ServerConf {
    fn begins(&mut self, line: &Conf<'_>) {
        self.settings.begins(line);
    }
}

impl Merge for ServerConf {
    /// Completes the settings and finds the cluster.
    fn merge(conf: &mut Conf<'_>, outer: &Self, inner: &mut Self) -> Result<(), LineError> {
        inner.settings.inherit(&outer.settings);
        let name = conf.server_name().to_vec();
        if let Some(uses) = &inner.settings.uses {
            inner.settings.warn_of_use(conf.log(), uses);
            let cluster = conf.main::<Clusters>().ok_or(LineError::Logged)?.used(uses)?;
            cluster.used_by(&name);
            inner.cluster = Some(cluster);
            return Ok(());
        }
        let complete = inner.settings.config(|| Resolver::of_server(conf))?;
        let clusters = conf.main::<Clusters>().ok_or(LineError::Logged)?;
        clusters.effects.extend(inner.settings.effects(&outer.settings));
        let Some((config, hosts)) = complete else {
            clusters.blocks_without = clusters.blocks_without.saturating_add(1);
            return Ok(());
        };
        let known = clusters.list.len();
        let cluster = clusters.share(config, hosts, inner.settings.sources(), false);
        let is_new = clusters.list.len() > known;
        cluster.used_by(&name);
        secure(conf, &cluster, &inner.settings)?;
        // One warning is enough for blocks that share a client.
        if is_new {
            inner.settings.warn(conf.log(), &cluster.config);
        }
        inner.cluster = Some(cluster);
        Ok(())
    }
}
