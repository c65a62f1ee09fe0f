//! Distribution of keys over servers.

#[cfg(test)]
mod tests;

use super::continuum::{ketama_hash, Continuum};
use super::rendezvous::Rendezvous;
use crate::config::{Hash, ServerConfig};

/// The distribution of keys over a list of servers. It is made once from the configuration.
#[derive(Debug)]
pub(crate) enum Router {
    /// The sum of the weights up to and including each server.
    ///
    /// Invariant: not empty, and strictly increasing.
    Modulo(Vec<u32>),
    /// The number of servers.
    OneAtATime(u32),
    Consistent(Continuum),
    Ketama(Continuum),
    Rendezvous(Rendezvous),
}

/// The explanation of a key's route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The key's hash: 15 bits for `modulo`, 32 for `one_at_a_time` and a ring; `rendezvous` has one for each server instead.
    pub hash: Option<u32>,
    /// The value that selects the server: for `modulo` and `one_at_a_time` the remainder after division by the sum of the weights,
    /// for a ring the next point.
    pub point: Option<u32>,
    /// The key's server, and those that would stand in for it, in this order.
    pub candidates: Vec<usize>,
}

impl Router {
    pub fn new(hash: Hash, servers: &[ServerConfig]) -> Self {
        match hash {
            Hash::Modulo => {
                let bounds = servers.iter().scan(0u32, |sum, server| {
                    *sum = sum.saturating_add(server.weight);
                    Some(*sum)
                });
                Router::Modulo(bounds.collect())
            }
            Hash::OneAtATime => Router::OneAtATime(u32::try_from(servers.len()).unwrap_or(u32::MAX)),
            Hash::Consistent => Router::Consistent(Continuum::consistent(servers)),
            Hash::Ketama => Router::Ketama(Continuum::ketama(servers)),
            Hash::Rendezvous => Router::Rendezvous(Rendezvous::new(servers)),
        }
    }

    /// The index of the key's server.
    pub fn route(&self, key: &[u8]) -> usize {
        match self {
            // With one server, no hash is needed.
            Router::Modulo(bounds) if bounds.len() == 1 => 0,
            Router::Modulo(bounds) => {
                let total = bounds.last().copied().unwrap_or(1);
                let point = modulo_hash(key).checked_rem(total).unwrap_or(0);
                bounds.partition_point(|&bound| bound <= point)
            }
            Router::OneAtATime(servers) => one_at_a_time(key).checked_rem(*servers).unwrap_or(0) as usize,
            Router::Consistent(continuum) => continuum.find(crc32fast::hash(key)),
            Router::Ketama(continuum) => continuum.find(ketama_hash(key)),
            Router::Rendezvous(rendezvous) => rendezvous.find_live(key, |_| true).unwrap_or(0),
        }
    }

    /// Explains the key's route, with the first `most` servers in the order in which they are asked.
    pub fn explain(&self, key: &[u8], most: usize) -> Explanation {
        let (hash, point) = match self {
            Router::Modulo(bounds) => {
                let hash = modulo_hash(key);
                (Some(hash), bounds.last().and_then(|&total| hash.checked_rem(total)))
            }
            Router::OneAtATime(servers) => {
                let hash = one_at_a_time(key);
                (Some(hash), hash.checked_rem(*servers))
            }
            Router::Consistent(continuum) => {
                let hash = crc32fast::hash(key);
                (Some(hash), continuum.point(hash))
            }
            Router::Ketama(continuum) => {
                let hash = ketama_hash(key);
                (Some(hash), continuum.point(hash))
            }
            Router::Rendezvous(_) => (None, None),
        };
        let mut candidates = Vec::new();
        while candidates.len() < most {
            match self.stand_in(key, |server| !candidates.contains(&server)) {
                Some(server) => candidates.push(server),
                None => break,
            }
        }
        Explanation { hash, point, candidates }
    }

    /// The server that stands in for the key's own: the next one that is `live`, `None` if none is.
    ///
    /// For `modulo` and `one_at_a_time` it is the next of the list, as in apr_memcache; on a continuum that of the next point, and
    /// for `rendezvous` that with the next highest weight, so that the keys spread over all that are left.
    pub fn stand_in(&self, key: &[u8], live: impl Fn(usize) -> bool) -> Option<usize> {
        match self {
            Router::Modulo(bounds) => self.next(key, bounds.len(), live),
            Router::OneAtATime(servers) => self.next(key, *servers as usize, live),
            Router::Consistent(continuum) => continuum.find_live(crc32fast::hash(key), live),
            Router::Ketama(continuum) => continuum.find_live(ketama_hash(key), live),
            Router::Rendezvous(rendezvous) => rendezvous.find_live(key, live),
        }
    }

    /// The next live server of the list, from the key's own on.
    fn next(&self, key: &[u8], servers: usize, live: impl Fn(usize) -> bool) -> Option<usize> {
        let home = self.route(key);
        (home..servers).chain(0..home).find(|&server| live(server))
    }
}

/// The one-at-a-time hash as libmemcached has it (`libhashkit/one_at_a_time.cc`): bytes from 0x80 on are negative, as `char` is on
/// x86.
#[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss)]
fn one_at_a_time(key: &[u8]) -> u32 {
    let mut hash = key.iter().fold(0u32, |hash, &byte| {
        let hash = hash.wrapping_add(i32::from(byte as i8) as u32);
        let hash = hash.wrapping_add(hash << 10);
        hash ^ (hash >> 6)
    });
    hash = hash.wrapping_add(hash << 3);
    hash ^= hash >> 11;
    hash.wrapping_add(hash << 15)
}

/// The hash of apr_memcache, libmemcached (`MODULA` with `CRC`) and nginx `hash $key`: 15 bits of the CRC-32. 0 stays 0:
/// of the three, only apr_memcache takes the second server for it.
fn modulo_hash(key: &[u8]) -> u32 {
    (crc32fast::hash(key) >> 16) & 0x7fff
}
