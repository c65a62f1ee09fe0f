//! A server, as the driver knows it.

#![forbid(unsafe_code)]

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use memcache_engine::stats::{Errors, Fault};
use memcache_engine::Instant;

use crate::nginx::address::Addresses;
use crate::nginx::ssl::{host, Context, Peer};

/// A server of the cluster, as the driver knows it.
pub struct Server {
    pub name: Bytes,
    /// The end of a line about it: its server blocks, if several clients have this server.
    pub whose: String,
    pub addresses: Addresses,
    /// How its connections are secured; `None`: not at all.
    pub tls: Option<Rc<Peer>>,
    pub log_state: LogState,
}

impl Server {
    /// One about which nothing was logged.
    pub fn new(name: Bytes, whose: String, addresses: Addresses, tls: Option<&Rc<Context>>) -> Server {
        let tls = tls.map(|tls| Rc::new(Peer::new(tls, host(&name))));
        Server { name, whose, addresses, tls, log_state: LogState::default() }
    }

    /// Its name in the log, with this address if it has several.
    pub fn at(&self, address: Option<usize>) -> Bytes {
        match address.filter(|_| self.addresses.len() > 1) {
            Some(address) => [&self.name[..], b" (", &self.addresses.text(address), b")"].concat().into(),
            None => self.name.clone(),
        }
    }
}

/// What was logged about a server, and what was not logged yet.
#[derive(Default)]
pub struct LogState {
    /// The end of the interval without a line.
    pub quiet: Cell<Instant>,
    /// Failed operations that were logged.
    pub errors: Cell<Errors>,
    /// Connections that were not logged.
    pub connections: Cell<u32>,
    /// The fault of the last of them.
    pub fault: Cell<Option<Fault>>,
    /// The last text of a `SERVER_ERROR`.
    pub text: RefCell<Bytes>,
}
