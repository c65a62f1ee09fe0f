//! The directives of one level, and how an inner level inherits from an outer one.

#![forbid(unsafe_code)]

use core::fmt::Display;
use core::time::Duration;
use std::collections::HashSet;
use std::rc::Rc;

use bytes::Bytes;
use memcache_engine::config::{Config, Failover, Hash, Protocol, ServerConfig};
use memcache_engine::limits::MODULO_PLACES;
use memcache_engine::Credentials;

use super::keys::KeySettings;
use super::level::{take, At};
use super::ssl::SslSettings;
use crate::driver::host::Host;
use crate::nginx::conf::{Conf, LineError, Position};
use crate::nginx::log::Log;
use crate::nginx::resolver::Resolver;
use crate::nginx::ssl::host;
use crate::worker::effect::Effect;
use crate::worker::location::Use;
use crate::worker::members::Source;

/// Default of `memcache_discover_interval`.
const DISCOVER_INTERVAL: Duration = Duration::from_secs(60);

/// The servers of one level.
#[derive(Clone, Default)]
pub struct Servers {
    /// In the order of the configuration.
    pub list: Vec<(ServerConfig, Host)>,
    /// Their lines, in the same order.
    pub positions: Vec<Position>,
    /// The lines whose servers change, with the default of `memcache_discover_interval`.
    pub sources: Vec<Source>,
    /// Their names and socket addresses, to find a server that is listed twice.
    pub taken: HashSet<Vec<u8>>,
}

/// A `memcache_cluster` that was read.
pub struct Named {
    /// Its name.
    pub name: Bytes,
    /// Its line.
    pub position: Position,
    /// The settings in its block.
    pub settings: Settings,
}

/// The settings of one `http` or `server` block. `None` is not set.
#[derive(Clone, Default)]
pub struct Settings {
    /// `memcache_server`; a level's own list replaces the inherited one.
    pub servers: Option<Rc<Servers>>,
    /// `memcache_use`.
    pub uses: Option<Use>,
    /// `memcache_hash`.
    pub hash: Option<At<Hash>>,
    /// `memcache_failover`.
    pub failover: Option<Failover>,
    /// `memcache_backup_ttl`, in seconds.
    pub backup_ttl: Option<u32>,
    /// Its line in the block itself. It is not inherited.
    pub backup_ttl_line: Option<Position>,
    /// `memcache_protocol`.
    pub protocol: Option<Protocol>,
    /// `memcache_timeout`.
    pub timeout: Option<At<Duration>>,
    /// `memcache_discover_interval`.
    pub discover_interval: Option<Duration>,
    /// `memcache_connect_timeout`.
    pub connect_timeout: Option<At<Duration>>,
    /// `memcache_max_fails`.
    pub max_fails: Option<u32>,
    /// `memcache_retry`.
    pub retry: Option<Duration>,
    /// `memcache_pipeline`.
    pub pipeline: Option<usize>,
    /// `memcache_queue`.
    pub queue: Option<usize>,
    /// `memcache_coalesce`.
    pub coalesce: Option<bool>,
    /// `memcache_max_value`, in bytes.
    pub max_value: Option<usize>,
    /// `memcache_prefix`, and the other directives about keys.
    pub keys: KeySettings,
    /// `memcache_ssl` and the directives that say how.
    pub ssl: SslSettings,
    /// `memcache_auth_file`; `Some(None)`: none, whatever is outside.
    pub credentials: Option<Option<Credentials>>,
    /// The first directive of the block itself. It is not inherited.
    pub first: Option<At<Bytes>>,
}

impl Settings {
    /// A line of the block is about to be read.
    pub fn begins(&mut self, line: &Conf<'_>) {
        let this = || At { value: Bytes::copy_from_slice(line.name()), position: line.position() };
        self.first.get_or_insert_with(this);
        if line.name().starts_with(b"memcache_ssl_") {
            self.ssl.first.get_or_insert_with(this);
        }
    }

    /// Whether lines of the block, and of the one around it, have an effect in it, now that it has inherited.
    pub fn effects(&self, outer: &Settings) -> impl Iterator<Item = Effect> + use<> {
        self.ssl.effects(&outer.ssl).into_iter().chain(self.keys.effect())
    }

    /// Logs that the block's own lines have no effect, as it uses a cluster that has a name.
    pub fn warn_of_use(&self, log: Option<Log<'_>>, uses: &Use) {
        let (Some(log), Some(first)) = (log, &self.first) else { return };
        let (name, position, cluster) = (first.value.escape_ascii(), &first.position, uses.name.escape_ascii());
        log.warn(format_args!("\"{name}\" has no effect in a block with \"memcache_use {cluster}\" in {position}"));
    }

    /// Inherits the settings that this level does not have from the level around it.
    pub fn inherit(&mut self, outer: &Settings) {
        // The innermost block that says where, says it.
        if self.servers.is_none() && self.uses.is_none() {
            (self.servers, self.uses) = (outer.servers.clone(), outer.uses.clone());
        }
        take(&mut self.hash, &outer.hash);
        take(&mut self.failover, &outer.failover);
        take(&mut self.backup_ttl, &outer.backup_ttl);
        take(&mut self.protocol, &outer.protocol);
        take(&mut self.timeout, &outer.timeout);
        take(&mut self.discover_interval, &outer.discover_interval);
        take(&mut self.connect_timeout, &outer.connect_timeout);
        take(&mut self.max_fails, &outer.max_fails);
        take(&mut self.retry, &outer.retry);
        take(&mut self.pipeline, &outer.pipeline);
        take(&mut self.queue, &outer.queue);
        take(&mut self.coalesce, &outer.coalesce);
        take(&mut self.max_value, &outer.max_value);
        self.keys.inherit(&outer.keys);
        self.ssl.inherit(&outer.ssl);
        take(&mut self.credentials, &outer.credentials);
    }

    /// The configuration of a client, with defaults; `None` without a server. `Err`: settings contradict each other.
    /// `resolver`: that of the block.
    pub fn config(
        &self,
        resolver: impl FnOnce() -> Option<Resolver>,
    ) -> Result<Option<(Config, Vec<Host>)>, LineError> {
        let Some(servers) = &self.servers else { return Ok(None) };
        let (servers, hosts) = servers.list.iter().cloned().unzip();
        let hosts = self.with_resolver(hosts, resolver)?;
        let defaults = Config::new(servers);
        let config = Config {
            name: Bytes::new(),
            hash: self.hash.as_ref().map_or(defaults.hash, |hash| hash.value),
            failover: self.failover.unwrap_or(defaults.failover),
            backup_ttl: self.backup_ttl.unwrap_or(defaults.backup_ttl),
            protocol: self.protocol.unwrap_or(defaults.protocol),
            timeout: self.timeout.as_ref().map_or(defaults.timeout, |time| time.value),
            connect_timeout: self.connect_timeout.as_ref().map_or(defaults.connect_timeout, |time| time.value),
            max_fails: self.max_fails.unwrap_or(defaults.max_fails),
            retry: self.retry.unwrap_or(defaults.retry),
            pipeline: self.pipeline.unwrap_or(defaults.pipeline),
            queue: self.queue.unwrap_or(defaults.queue),
            coalesce: self.coalesce.unwrap_or(defaults.coalesce),
            max_value: self.max_value.unwrap_or(defaults.max_value),
            keys: self.keys.rules()?,
            security: self.security()?,
            credentials: self.credentials.clone().flatten(),
            servers: defaults.servers,
        };
        if let Some(source) = self.sources().first().filter(|_| !config.hash.keeps_keys()) {
            let hash = config.hash.name();
            let text = format!(
                "\"discover\" needs \"memcache_hash\" to be \"consistent\", \"ketama\" or \"rendezvous\": with \"{hash}\", nearly \
                 all keys would move whenever a server comes or goes"
            );
            return Err(LineError::At(text, source.position.clone()));
        }
        config.check_weights().map_err(|e| self.at_server(e.server(), e))?;
        config.check_backups().map_err(|e| self.at_server(e.server(), e))?;
        Ok(Some((config, hosts)))
    }

    /// Names that are followed need a resolver.
    fn with_resolver(
        &self,
        mut hosts: Vec<Host>,
        resolver: impl FnOnce() -> Option<Resolver>,
    ) -> Result<Vec<Host>, LineError> {
        let Some(first) = hosts.iter().position(|host| host.followed.is_some()) else { return Ok(hosts) };
        let Some(resolver) = resolver() else {
            let text = "no \"resolver\" is defined here or in the http block, which \"resolve\" needs";
            return Err(self.at_server(first, text));
        };
        for followed in hosts.iter_mut().filter_map(|host| host.followed.as_mut()) {
            followed.resolver = Some(resolver.clone());
        }
        Ok(hosts)
    }

    /// The lines whose servers change.
    pub fn sources(&self) -> Vec<Source> {
        let sources = self.servers.as_ref().map_or(&[][..], |servers| &servers.sources);
        let interval = self.discover_interval.unwrap_or(DISCOVER_INTERVAL);
        sources.iter().map(|source| Source { interval, ..source.clone() }).collect()
    }

    /// How connections are secured, for [`Config::security`].
    fn security(&self) -> Result<Bytes, LineError> {
        let Some(options) = self.ssl.options()? else { return Ok(Bytes::new()) };
        let servers = self.servers.as_ref().map_or(&[][..], |servers| &servers.list);
        let nameless = servers.iter().position(|(server, _)| host(&server.name).is_empty());
        if let Some((server, position)) = nameless
            .filter(|_| options.verify && options.name.is_none())
            .and_then(|id| Some((servers.get(id)?.0.name.escape_ascii(), self.position_of(id)?)))
        {
            let text = format!(
                "memcache server \"{server}\" has no name for its certificate: \"memcache_ssl_name\" has to say it, or \
                 \"memcache_ssl_verify\" has to be off"
            );
            return Err(LineError::At(text, position.clone()));
        }
        Ok(format!(" {options:?}").into())
    }

    /// The error of a server's line.
    fn at_server(&self, server: usize, error: impl Display) -> LineError {
        match self.position_of(server) {
            Some(position) => LineError::At(error.to_string(), position.clone()),
            None => LineError::Text(error.to_string()),
        }
    }

    fn position_of(&self, server: usize) -> Option<&Position> {
        self.servers.as_ref()?.positions.get(server)
    }

    /// Logs what is allowed but probably not intended.
    pub fn warn(&self, log: Option<Log<'_>>, config: &Config) {
        let Some(log) = log else { return };
        for (text, position) in self.warnings(config) {
            log.warn(format_args!("{text} in {position}"));
        }
    }

    /// Settings that are allowed but probably not intended, each with its line.
    fn warnings(&self, config: &Config) -> Vec<(String, Position)> {
        let mut warnings = Vec::new();
        if let Some((server, position)) = config.first_without_keys().and_then(|id| Some((id, self.position_of(id)?))) {
            let name = config.servers.get(server).map_or(&b""[..], |server| &server.name).escape_ascii();
            let text = format!(
                "memcache server \"{name}\" gets no keys: with \"memcache_hash modulo\", weights that add up to more than \
                 {MODULO_PLACES} leave nothing for the last servers"
            );
            warnings.push((text, position.clone()));
        }
        if let Some(connect) = self.connect_timeout.as_ref().filter(|_| config.connect_timeout > config.timeout) {
            let (connect_timeout, timeout) = (config.connect_timeout.as_millis(), config.timeout.as_millis());
            let text = format!(
                "\"memcache_connect_timeout\" of {connect_timeout}ms is longer than \"memcache_timeout\" of {timeout}ms: \
                 operations do not wait for it"
            );
            warnings.push((text, connect.position.clone()));
        }
        // What a block inherits may be for others.
        if let Some(position) = self.backup_ttl_line.as_ref().filter(|_| config.failover != Failover::Backup) {
            let text = "\"memcache_backup_ttl\" has no effect without \"memcache_failover backup\"".into();
            warnings.push((text, position.clone()));
        }
        warnings
    }
}
