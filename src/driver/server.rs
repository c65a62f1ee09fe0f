//! A server, as the driver knows it.

#![forbid(unsafe_code)]

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use memcache_engine::stats::{Errors, Fault};
use memcache_engine::Instant;

use super::host::{Followed, Host};
use crate::nginx::address::Addresses;
use crate::nginx::resolver::Name;
use crate::nginx::ssl::{host, Context, Peer};

/// A server of the cluster, as the driver knows it.
pub struct Server {
    pub name: Bytes,
    /// The end of a line about it: its server blocks, if several clients have this server.
    pub whose: String,
    addresses: RefCell<Addresses>,
    /// Its name, if that is followed.
    pub followed: Option<Followed>,
    /// What follows it.
    pub following: RefCell<Option<Name>>,
    /// How its connections are secured; `None`: not at all.
    pub tls: Option<Rc<Peer>>,
    pub log_state: LogState,
}

impl Server {
    /// One about which nothing was logged.
    pub fn new(name: Bytes, whose: String, host_of: &Host, tls: Option<&Rc<Context>>) -> Server {
        let tls = tls.map(|tls| Rc::new(Peer::new(tls, host(&name))));
        let Host { addresses, followed } = host_of.clone();
        let (addresses, following) = (RefCell::new(addresses), RefCell::default());
        Server { name, whose, addresses, followed, following, tls, log_state: LogState::default() }
    }

    /// Its socket addresses, as far as they are known.
    pub fn addresses(&self) -> Addresses {
        self.addresses.borrow().clone()
    }

    /// It has these from now on.
    pub fn set_addresses(&self, addresses: Addresses) {
        self.addresses.replace(addresses);
    }

    /// Its name in the log, with this address if it has several, or may get others.
    pub fn at(&self, address: Option<usize>) -> Bytes {
        let addresses = self.addresses();
        match address.filter(|_| addresses.len() > 1 || (self.followed.is_some() && addresses.len() > 0)) {
            Some(address) => [&self.name[..], b" (", &addresses.text(address), b")"].concat().into(),
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
    /// Why its name could not be resolved, until it is.
    pub unresolved: RefCell<Option<String>>,
    /// The last text of a `SERVER_ERROR`.
    pub text: RefCell<Bytes>,
}
