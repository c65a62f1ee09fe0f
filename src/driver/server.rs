//! A server, as the driver knows it.

#![forbid(unsafe_code)]

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use memcache_engine::stats::{Errors, Fault};
use memcache_engine::Instant;

use crate::nginx::address::Addresses;
use crate::nginx::ssl::Peer;

/// A server of the cluster, as the driver knows it.
pub struct Server {
    pub name: Bytes,
    /// What is behind a line about it: whose it is, where that is not the only client of it.
    pub whose: String,
    pub addresses: Addresses,
    /// How its connections are secured; `None`: not at all.
    pub tls: Option<Rc<Peer>>,
    pub log_state: LogState,
}

impl Server {
    /// What it is called in the log, at this address: where it has several, that is said.
    pub fn at(&self, address: Option<usize>) -> Bytes {
        match address.filter(|_| self.addresses.len() > 1) {
            Some(address) => [&self.name[..], b" (", &self.addresses.text(address), b")"].concat().into(),
            None => self.name.clone(),
        }
    }
}

/// What was said about a server, and what was not said yet.
#[derive(Default)]
pub struct LogState {
    /// Until when nothing is said.
    pub quiet: Cell<Instant>,
    /// Failed operations that were said.
    pub errors: Cell<Errors>,
    /// Connections that were not said.
    pub connections: Cell<u32>,
    /// What was wrong with the last of them.
    pub fault: Cell<Option<Fault>>,
    /// The last text of a `SERVER_ERROR`.
    pub text: RefCell<Bytes>,
}
