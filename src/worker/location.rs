//! The module's configuration of a location.

#![forbid(unsafe_code)]

use std::rc::Rc;

use bytes::Bytes;
use memcache_status::Format;

use super::cluster::Cluster;
use crate::nginx::conf::Position;

/// The name of a `memcache_cluster`, and where it is used.
#[derive(Clone)]
pub struct Use {
    /// The name.
    pub name: Bytes,
    /// The line.
    pub position: Position,
}

/// The configuration of a location.
#[derive(Default)]
pub struct LocationConf {
    /// The format of `memcache_status`; `None` without one.
    pub status: Option<Format>,
    /// Its own `memcache_use`.
    pub uses: Option<Use>,
    /// The cluster of requests here, once it has inherited.
    pub cluster: Option<Rc<Cluster>>,
}
