//! What a list of servers may be that replaces another one.

use std::collections::HashSet;

use bytes::Bytes;
use thiserror::Error;

use super::backups::has_only_backups;
use super::choice::Hash;
use super::cluster::ServerConfig;
use super::weights::WeightError;
use crate::limits::{MAX_LEAVING, MAX_SERVERS};

/// Why a client does not take over a list of servers. It keeps the one that it has.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MembershipError {
    /// It is empty.
    #[error("the new list of servers is empty")]
    Empty,
    /// All servers in it are backups.
    #[error("all servers of the new list are backups")]
    OnlyBackups,
    /// It has more than [`MAX_SERVERS`](crate::limits::MAX_SERVERS).
    #[error("the new list has {0} servers, maximum is {MAX_SERVERS}")]
    TooMany(usize),
    /// A server is in it twice.
    #[error("server \"{}\" is in the new list twice", .0.escape_ascii())]
    Duplicate(Bytes),
    /// The weights do not fit the hash.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// More than [`MAX_LEAVING`](crate::limits::MAX_LEAVING) servers that are not in it still have answers to come.
    #[error("{0} servers that are not in the new list still have operations, maximum is {MAX_LEAVING}")]
    Leaving(usize),
}

impl MembershipError {
    /// Checks a list for a client with this hash.
    pub fn check(hash: Hash, servers: &[ServerConfig]) -> Result<(), MembershipError> {
        if servers.is_empty() {
            return Err(MembershipError::Empty);
        }
        if has_only_backups(servers) {
            return Err(MembershipError::OnlyBackups);
        }
        if servers.len() > MAX_SERVERS {
            return Err(MembershipError::TooMany(servers.len()));
        }
        let mut names = HashSet::new();
        if let Some(twice) = servers.iter().find(|server| !names.insert(&server.name)) {
            return Err(MembershipError::Duplicate(twice.name.clone()));
        }
        Ok(hash.check_weights(servers)?)
    }
}
