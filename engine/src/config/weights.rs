//! Limits of the weights of a list of servers; they depend on the hash.

use thiserror::Error;

use super::choice::Hash;
use super::cluster::{Config, ServerConfig};
use crate::limits::{MAX_RING_WEIGHT, MODULO_PLACES};

/// An error of the weights; `nginx -t` prints the text.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WeightError {
    /// The hash has no weights.
    #[error("\"weight\" is not supported with \"memcache_hash {}\"", .hash.name())]
    Unsupported {
        /// The configured hash.
        hash: Hash,
        /// The first server that has one.
        server: usize,
    },
    /// The ring would become too large.
    #[error("\"weight\" adds up to {sum} with \"memcache_hash {}\", maximum is {MAX_RING_WEIGHT}", .hash.name())]
    TooLarge {
        /// The configured hash.
        hash: Hash,
        /// The sum of all weights.
        sum: u64,
        /// The server with which the sum becomes too large.
        server: usize,
    },
}

impl WeightError {
    /// The server with this weight: an index in [`Config::servers`].
    pub fn server(&self) -> usize {
        match *self {
            WeightError::Unsupported { server, .. } | WeightError::TooLarge { server, .. } => server,
        }
    }
}

impl Config {
    /// Whether the servers may have their weights with this hash. A client must not be made if they may not.
    pub fn check_weights(&self) -> Result<(), WeightError> {
        self.hash.check_weights(&self.servers)
    }

    /// The first server that can have no keys: with `memcache_hash modulo`, the last ones get none if the sum of the weights is
    /// larger than the number of hash values. A client still works.
    pub fn first_without_keys(&self) -> Option<usize> {
        if self.hash != Hash::Modulo {
            return None;
        }
        weights(&self.servers).position(|(begin, _)| begin >= u64::from(MODULO_PLACES))
    }
}

impl Hash {
    /// Whether servers may have their weights with this hash.
    pub(super) fn check_weights(self, servers: &[ServerConfig]) -> Result<(), WeightError> {
        let hash = self;
        match hash {
            Hash::OneAtATime | Hash::Rendezvous => match servers.iter().position(|server| server.weight != 1) {
                Some(server) => Err(WeightError::Unsupported { hash, server }),
                None => Ok(()),
            },
            Hash::Consistent => match weights(servers).position(|(_, end)| end > u64::from(MAX_RING_WEIGHT)) {
                Some(server) => {
                    let backup = servers.get(server).is_some_and(|server| server.backup);
                    let of_ring = servers.iter().filter(|server| server.backup == backup);
                    let sum = of_ring.map(|server| u64::from(server.weight)).fold(0, u64::saturating_add);
                    Err(WeightError::TooLarge { hash, sum, server })
                }
                None => Ok(()),
            },
            Hash::Modulo | Hash::Ketama => Ok(()),
        }
    }
}

/// For each server, the sum of the weights before it, and the sum including its own. Backup servers have sums of their own, as
/// they have a ring of their own.
fn weights(servers: &[ServerConfig]) -> impl Iterator<Item = (u64, u64)> + '_ {
    servers.iter().scan((0_u64, 0_u64), |(ordinary, backup), server| {
        let sum = if server.backup { backup } else { ordinary };
        let begin = *sum;
        *sum = begin.saturating_add(u64::from(server.weight));
        Some((begin, *sum))
    })
}

#[cfg(test)]
mod tests {
    use super::super::params::ServerParams;
    use super::*;
    use crate::limits::{MAX_SERVERS, MAX_WEIGHT};

    fn check(hash: Hash, weights: &[u32]) -> Result<(), String> {
        let (pool, _) = ServerParams::default().finish().unwrap();
        let server = |&weight: &u32| ServerConfig { name: "a:1".into(), addresses: 1, pool, weight, backup: false };
        let mut config = Config::new(weights.iter().map(server).collect());
        config.hash = hash;
        config.check_weights().map_err(|e| e.to_string())
    }

    #[test]
    fn c33_a_ring_has_a_bound() {
        assert_eq!(check(Hash::Consistent, &[1; MAX_SERVERS]), Ok(()));
        assert_eq!(check(Hash::Consistent, &[MAX_RING_WEIGHT - 5, 5]), Ok(()));
        let text = "\"weight\" adds up to 16385 with \"memcache_hash consistent\", maximum is 16384";
        assert_eq!(check(Hash::Consistent, &[MAX_RING_WEIGHT - 5, 6]).unwrap_err(), text);
        let most = check(Hash::Consistent, &[MAX_WEIGHT; MAX_SERVERS]).unwrap_err();
        assert!(most.contains(" 1073725440 "), "{most}");
    }

    #[test]
    fn c33_weights_do_not_make_other_hashes_larger() {
        assert_eq!(check(Hash::Ketama, &[MAX_WEIGHT; MAX_SERVERS]), Ok(()));
        assert_eq!(check(Hash::Modulo, &[MAX_WEIGHT; MAX_SERVERS]), Ok(()));
    }

    #[test]
    fn some_hashes_have_no_weights() {
        assert_eq!(check(Hash::Rendezvous, &[1, 1]), Ok(()));
        let text = "\"weight\" is not supported with \"memcache_hash rendezvous\"";
        assert_eq!(check(Hash::Rendezvous, &[1, 2]).unwrap_err(), text);
        assert_eq!(check(Hash::OneAtATime, &[1, 1]), Ok(()));
        let text = "\"weight\" is not supported with \"memcache_hash one_at_a_time\"";
        assert_eq!(check(Hash::OneAtATime, &[1, 2]).unwrap_err(), text);
    }

    #[test]
    fn r54_the_server_that_is_to_blame() {
        let error = |hash, weights| {
            let (pool, _) = ServerParams::default().finish().unwrap();
            let server = |&weight: &u32| ServerConfig { name: "a:1".into(), addresses: 1, pool, weight, backup: false };
            let servers: &[u32] = weights;
            let mut config = Config::new(servers.iter().map(server).collect());
            config.hash = hash;
            (config.check_weights().err().map(|e| e.server()), config.first_without_keys())
        };
        assert_eq!(error(Hash::Rendezvous, &[1, 1, 2]), (Some(2), None));
        assert_eq!(error(Hash::Consistent, &[16_000, 384, 1, 5]), (Some(2), None));
        assert_eq!(error(Hash::Modulo, &[32_767, 1]), (None, None), "each has a place");
        assert_eq!(error(Hash::Modulo, &[32_767, 2]), (None, None), "one has half of its places");
        assert_eq!(error(Hash::Modulo, &[32_767, 1, 1, 1]), (None, Some(2)));
        assert_eq!(error(Hash::Ketama, &[65_535, 65_535]), (None, None));
    }
}
