//! `memcache_cluster name { … }` and `memcache_use name;`.

#![forbid(unsafe_code)]

use std::mem;

use bytes::Bytes;

use super::block::{secure, ServerConf};
use super::settings::Named;
use crate::nginx::conf::{lines, Conf, HttpBlock, LineError, Merge};
use crate::nginx::resolver::Resolver;
use crate::worker::clusters::Clusters;
use crate::worker::location::{LocationConf, Use};

/// The longest name of a cluster, in bytes.
const MAX_NAME: usize = 64;

/// Reads the block of a cluster.
pub fn block(line: &mut Conf<'_>) -> Result<(), LineError> {
    let (name, position) = (name(line)?, line.position());
    if line.server::<ServerConf>().is_some_and(|conf| conf.named.iter().any(|named| named.name == name)) {
        return Err(LineError::Text(format!("duplicate memcache cluster \"{}\"", name.escape_ascii())));
    }
    let mut conf = ServerConf::default();
    lines::read(line, &mut conf)?;
    let named = Named { name, position, settings: conf.settings };
    line.server::<ServerConf>().ok_or(LineError::Logged)?.named.push(named);
    Ok(())
}

/// The cluster that requests use where the line is: in a location, or in all locations of a block without one of their own.
pub fn uses(line: &mut Conf<'_>, conf: &mut LocationConf) -> Result<(), LineError> {
    let new = Use { name: name(line)?, position: line.position() };
    let place = match line.is_in_location() {
        true => &mut conf.uses,
        false => &mut line.server::<ServerConf>().ok_or(LineError::Logged)?.settings.uses,
    };
    if place.replace(new).is_some() {
        return Err(LineError::DUPLICATE);
    }
    Ok(())
}

/// The name of a cluster: the argument of the line.
fn name(line: &Conf<'_>) -> Result<Bytes, LineError> {
    let name = line.arg();
    let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.is_empty() || name.len() > MAX_NAME || !name.iter().all(is_valid) {
        return Err(LineError::Text(format!(
            "invalid name \"{}\" of a memcache cluster, it must be 1 to {MAX_NAME} letters, digits, \"_\", \"-\" or \".\"",
            name.escape_ascii()
        )));
    }
    Ok(Bytes::copy_from_slice(name))
}

/// Makes the named clusters, before server blocks and locations look for them. They inherit the settings of the http block, but
/// not its servers.
pub fn make(http: &mut HttpBlock<'_>) -> Result<(), LineError> {
    let (_, outer) = http.confs::<Clusters, ServerConf>().ok_or(LineError::Logged)?;
    let (named, outer) = (mem::take(&mut outer.named), outer.settings.clone());
    for Named { name, position, mut settings } in named {
        let at = |error| match error {
            LineError::Text(text) => LineError::At(text, position.clone()),
            error => error,
        };
        if settings.servers.is_none() {
            let name = name.escape_ascii();
            return Err(at(LineError::Text(format!("no \"memcache_server\" is in memcache cluster \"{name}\""))));
        }
        settings.inherit(&outer);
        let resolver = || Resolver::of_http(http.conf());
        let (config, hosts) = settings.config(resolver).map_err(at)?.ok_or(LineError::Logged)?;
        let (clusters, _) = http.confs::<Clusters, ServerConf>().ok_or(LineError::Logged)?;
        let config = memcache_engine::Config { name, ..config };
        let cluster = clusters.share(config, hosts, settings.sources(), false);
        clusters.effects.extend(settings.effects(&outer));
        secure(http.conf(), &cluster, &settings).map_err(at)?;
        settings.warn(http.log(), &cluster.config);
    }
    // Server blocks look for theirs, and there may be none.
    let (clusters, outer) = http.confs::<Clusters, ServerConf>().ok_or(LineError::Logged)?;
    outer.settings.uses.as_ref().map_or(Ok(()), |uses| clusters.used(uses).map(|_| ()))
}

impl Merge for LocationConf {
    /// The cluster of a location is its own, else that of the location around it, else that of its server block. An `if` in a
    /// location has the handler of the location, and so needs its format.
    fn merge(conf: &mut Conf<'_>, outer: &Self, inner: &mut Self) -> Result<(), LineError> {
        inner.status = inner.status.or(outer.status);
        inner.cluster = match &inner.uses {
            Some(uses) => Some(conf.main::<Clusters>().ok_or(LineError::Logged)?.used(uses)?),
            None if outer.cluster.is_some() => outer.cluster.clone(),
            None => conf.server::<ServerConf>().and_then(|server| server.cluster.clone()),
        };
        Ok(())
    }
}
