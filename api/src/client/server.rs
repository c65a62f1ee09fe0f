//! The servers of a client.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::client::Client;
use crate::error::Error;
use crate::operation::{kind, Operation};
use crate::sys;

impl Client {
    /// The servers, in the order of the configuration, as they are now in this worker. Who asks several of them does so
    /// [at once](crate::http::all), so that those that hang do not add up.
    pub fn servers(&self) -> Servers {
        Servers { client: *self, next: 0 }
    }

    /// A client of some of the servers: those that `choose` is true for. `ap_memcache_serverhash` of mod_memcache was for
    /// this.
    ///
    /// It routes keys as if it was configured with just these servers, and shares their connections, health, settings
    /// and statistics with this client. The same servers are always the same subset; a worker has up to 32 different
    /// ones of each client, for as long as the client is there.
    ///
    /// Fails with [`Error::NoServer`] if none was chosen, and with [`Error::TooMany`].
    ///
    /// ```no_run
    /// # use ngx_memcache::{Client, Error};
    /// # async fn example(mc: Client) -> Result<(), Error> {
    /// let large = mc.subset(|server| server.weight() > 1)?;
    /// large.set("report", vec![0_u8; 500_000]).await?;
    /// # Ok(()) }
    /// ```
    pub fn subset(&self, mut choose: impl FnMut(&Server) -> bool) -> Result<Client, Error> {
        let chosen: Vec<usize> = self.servers().filter(|server| choose(server)).map(|server| server.index()).collect();
        if chosen.is_empty() {
            return Err(Error::NoServer);
        }
        self.handle().subset(&chosen).map(Client::from_handle)
    }

    /// The server that has a key, whether or not it is up.
    pub fn server_of<K: AsRef<[u8]>>(&self, key: K) -> Result<Server, Error> {
        let index = self.handle().server_of_key(key.as_ref())?;
        Server::new(*self, index).ok_or(Error::Other(sys::NGX_HTTP_MEMCACHE_INTERNAL))
    }
}

/// The servers of a client: what [`Client::servers`] returns.
#[derive(Debug)]
pub struct Servers {
    client: Client,
    next: usize,
}

impl Iterator for Servers {
    type Item = Server;

    fn next(&mut self) -> Option<Server> {
        loop {
            let index = self.next;
            self.next = index.saturating_add(1);
            match Server::new(self.client, index) {
                // A server that has left the list leaves a gap.
                None if self.next < self.client.handle().servers() => {}
                server => return server,
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.client.handle().servers().saturating_sub(self.next);
        (0, Some(left))
    }
}

/// A server as it is configured, and as it was in this worker when it was asked for.
///
/// ```no_run
/// use ngx_memcache::{http, Client, Error};
///
/// async fn show(mc: Client) -> Result<String, Error> {
///     // At once: one that hangs takes its time, and five that hang take no more.
///     let versions = http::all(mc.servers().map(|server| server.version())).await;
///     let mut page = String::new();
///     for (server, version) in mc.servers().zip(versions) {
///         page += &format!("{} {} max={}\n", server.address(), version?, server.pool().max);
///     }
///     Ok(page)
/// }
/// ```
pub struct Server {
    client: Client,
    index: usize,
    now: sys::ngx_http_memcache_server_t,
}

/// The connections that a worker may have to a server, as `memcache_server` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Connections that are opened at start, and kept.
    pub min: u32,
    /// Idle connections that are kept for ever.
    pub smax: u32,
    /// Connections at most.
    pub max: u32,
    /// How long an idle connection above `smax` is kept; `None`: for ever.
    pub ttl: Option<Duration>,
}

/// Whether a server is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It answers, or nothing else is known.
    Live,
    /// It failed too often; the module tries it by timer, and refuses operations until it is back.
    Down,
    /// It was taken out of use, [in this worker](Server::disable) or by the operator in all (`memcache_control`); the module
    /// refuses operations.
    Disabled,
}

impl Server {
    /// `None`: there is no such index.
    pub(crate) fn new(client: Client, index: usize) -> Option<Self> {
        let now = client.handle().server(index)?;
        Some(Server { client, index, now })
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The address, always with a port: `127.0.0.1:11211`, `[::1]:11211`, `unix:/path`.
    pub fn address(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.now.address.as_bytes())
    }

    /// The connections that this worker may have to it.
    pub fn pool(&self) -> Pool {
        let ttl = (self.now.ttl > 0).then(|| Duration::from_secs(self.now.ttl.into()));
        Pool { min: self.now.min, smax: self.now.smax, max: self.now.max, ttl }
    }

    /// Its share of the keys, beside the weights of the other servers.
    pub fn weight(&self) -> u32 {
        self.now.weight
    }

    /// Whether it is used.
    pub fn state(&self) -> State {
        match self.now.state {
            sys::NGX_HTTP_MEMCACHE_STATE_LIVE => State::Live,
            sys::NGX_HTTP_MEMCACHE_STATE_DISABLED => State::Disabled,
            _ => State::Down,
        }
    }

    /// Connections that are open, those that are just being established included.
    pub fn open(&self) -> u32 {
        self.now.open
    }

    /// Open connections on which nothing is awaited.
    pub fn idle(&self) -> u32 {
        self.now.idle
    }

    /// Operations whose reply is awaited.
    pub fn pending(&self) -> u32 {
        self.now.pending
    }

    /// Operations that wait for a connection.
    pub fn queued(&self) -> u32 {
        self.now.queued
    }

    /// Asks the server for nothing but an answer.
    pub fn noop(&self) -> Operation<'static, [u8; 0], kind::Noop> {
        self.operation(sys::NGX_HTTP_MEMCACHE_NOOP)
    }

    /// Takes the server out of use in this worker, for all modules that use this client: as if it were down, but the
    /// module does not try it. What was sent before is still answered.
    pub fn disable(&self) -> Result<(), Error> {
        self.set_enabled(false)
    }

    /// Takes the server back into use.
    pub fn enable(&self) -> Result<(), Error> {
        self.set_enabled(true)
    }

    fn set_enabled(&self, enabled: bool) -> Result<(), Error> {
        self.client.handle().set_enabled(self.index, enabled)
    }

    /// Asks the server which version of memcached it is.
    pub fn version(&self) -> Operation<'static, [u8; 0], kind::Version> {
        self.operation(sys::NGX_HTTP_MEMCACHE_VERSION)
    }

    /// Asks the server for its general statistics: names and values, in its order. They are of all its users, not of
    /// this client.
    ///
    /// ```no_run
    /// # use std::collections::HashMap;
    /// # use ngx_memcache::{Error, Server};
    /// # async fn example(server: Server) -> Result<(), Error> {
    /// let stats: HashMap<String, String> = server.stats().await?.into_iter().collect();
    /// let evictions = stats.get("evictions");
    /// # Ok(()) }
    /// ```
    pub fn stats(&self) -> Operation<'static, [u8; 0], kind::Stats> {
        self.operation(sys::NGX_HTTP_MEMCACHE_STATS)
    }

    /// Lets the server forget all items, those of others too.
    ///
    /// ```no_run
    /// # use ngx_memcache::{Client, Error, Seconds};
    /// # async fn example(mc: Client) -> Result<(), Error> {
    /// // One after the other, so that not everything is missing at once.
    /// for (n, server) in (0..).zip(mc.servers()) {
    ///     server.flush_all().delay((60 * n).secs()).await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn flush_all(&self) -> Operation<'static, [u8; 0], kind::FlushAll> {
        self.operation(sys::NGX_HTTP_MEMCACHE_FLUSH_ALL)
    }

    fn operation<O>(&self, number: u32) -> Operation<'static, [u8; 0], O> {
        self.client.operation(number, []).on_server(self.index)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address()).field("state", &self.state()).finish_non_exhaustive()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Live => "live",
            State::Down => "down",
            State::Disabled => "disabled",
        })
    }
}
