//! Where a server is.

#![forbid(unsafe_code)]

use bytes::Bytes;

use crate::nginx::address::Addresses;
use crate::nginx::resolver::Resolver;

/// The socket addresses of a server, and the name behind them, if it is followed.
#[derive(Clone)]
pub struct Host {
    /// As far as they are known when the configuration is read.
    pub addresses: Addresses,
    /// The name.
    pub followed: Option<Followed>,
}

/// A name whose addresses may change.
#[derive(Clone, PartialEq)]
pub struct Followed {
    /// The name, without its port.
    pub name: Bytes,
    /// The port.
    pub port: u16,
    /// What it is asked of. It is known when the block has inherited.
    pub resolver: Option<Resolver>,
}

impl Host {
    /// How many addresses the engine begins with: those of a name that is followed come later, and may be others.
    pub fn count(&self) -> usize {
        if self.followed.is_some() {
            0
        } else {
            self.addresses.len()
        }
    }

    /// The bytes that identify it, as far as what is known about it is worth keeping.
    pub fn key(&self) -> Vec<u8> {
        self.followed.as_ref().map_or_else(|| self.addresses.key(), |_| b"resolve".to_vec())
    }
}
