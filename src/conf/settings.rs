//! The directives of one level, and how an inner level inherits from an outer one.

#![forbid(unsafe_code)]

use core::time::Duration;
use std::collections::HashSet;
use std::rc::Rc;

use bytes::Bytes;
use memcache_engine::config::{Config, Failover, Hash, ServerConfig};
use nginx_sys::ngx_addr_t;

use super::directive::Refusal;

/// The socket addresses that a server's name stands for, at least one. They lie in the configuration's pool.
pub type Addresses = Rc<[ngx_addr_t]>;

/// The servers of one level.
#[derive(Clone, Default)]
pub struct Servers {
    /// In the order of the configuration.
    pub list: Vec<(ServerConfig, Addresses)>,
    /// Their socket addresses, to find a server that is listed twice.
    pub taken: HashSet<Vec<u8>>,
}

/// What one `http` or `server` block says. `None` was not said.
#[derive(Clone, Default)]
pub struct Settings {
    /// `memcache_server`; a level's own list replaces the inherited one.
    pub servers: Option<Rc<Servers>>,
    /// `memcache_hash`.
    pub hash: Option<Hash>,
    /// `memcache_failover`.
    pub failover: Option<Failover>,
    /// `memcache_timeout`.
    pub timeout: Option<Duration>,
    /// `memcache_connect_timeout`.
    pub connect_timeout: Option<Duration>,
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
    /// `memcache_prefix`.
    pub prefix: Option<Bytes>,
}

impl Settings {
    /// Takes what this level does not say from the level around it.
    pub fn inherit(&mut self, outer: &Settings) {
        fn take<T: Clone>(inner: &mut Option<T>, outer: &Option<T>) {
            if inner.is_none() {
                inner.clone_from(outer);
            }
        }

        take(&mut self.servers, &outer.servers);
        take(&mut self.hash, &outer.hash);
        take(&mut self.failover, &outer.failover);
        take(&mut self.timeout, &outer.timeout);
        take(&mut self.connect_timeout, &outer.connect_timeout);
        take(&mut self.max_fails, &outer.max_fails);
        take(&mut self.retry, &outer.retry);
        take(&mut self.pipeline, &outer.pipeline);
        take(&mut self.queue, &outer.queue);
        take(&mut self.coalesce, &outer.coalesce);
        take(&mut self.max_value, &outer.max_value);
        take(&mut self.prefix, &outer.prefix);
    }

    /// What a client needs to know, with the defaults; `None` without a server. `Err`: settings that contradict each
    /// other.
    pub fn config(&self) -> Result<Option<(Config, Vec<Addresses>)>, Refusal> {
        let Some(servers) = &self.servers else { return Ok(None) };
        let (servers, addresses) = servers.list.iter().cloned().unzip();
        let defaults = Config::new(servers);
        let config = Config {
            hash: self.hash.unwrap_or(defaults.hash),
            failover: self.failover.unwrap_or(defaults.failover),
            timeout: self.timeout.unwrap_or(defaults.timeout),
            connect_timeout: self.connect_timeout.unwrap_or(defaults.connect_timeout),
            max_fails: self.max_fails.unwrap_or(defaults.max_fails),
            retry: self.retry.unwrap_or(defaults.retry),
            pipeline: self.pipeline.unwrap_or(defaults.pipeline),
            queue: self.queue.unwrap_or(defaults.queue),
            coalesce: self.coalesce.unwrap_or(defaults.coalesce),
            max_value: self.max_value.unwrap_or(defaults.max_value),
            prefix: self.prefix.clone().unwrap_or(defaults.prefix),
            servers: defaults.servers,
        };
        config.check_weights().map_err(|e| Refusal::Text(e.to_string()))?;
        Ok(Some((config, addresses)))
    }
}
