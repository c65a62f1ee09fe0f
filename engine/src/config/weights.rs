//! What the weights of a list of servers may be; that differs from hash to hash.

use thiserror::Error;

use super::{Config, Hash};

/// What the weights of all servers may add up to with `memcache_hash consistent`, whose ring has 160 points of 6 bytes
/// for each: 15 MiB per client. As many servers as there may be fit with a weight of 1.
///
/// The ring of `ketama` has 160 points per server, whatever the weights; the other hashes have none.
pub const MAX_RING_WEIGHT: u32 = 16_384;

/// What is wrong with the weights; the text is what `nginx -t` prints.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WeightError {
    /// The scheme that is shared with others knows none.
    #[error("\"weight\" is not supported with \"memcache_hash {}\"", .0.name())]
    Unsupported(Hash),
    /// The ring would become too large.
    #[error("\"weight\" adds up to {sum} with \"memcache_hash {}\", maximum is {MAX_RING_WEIGHT}", .hash.name())]
    TooLarge {
        /// The configured hash.
        hash: Hash,
        /// The sum of all weights.
        sum: u64,
    },
}

impl Config {
    /// Whether the servers may have their weights with this hash. A client must not be made if they may not.
    pub fn check_weights(&self) -> Result<(), WeightError> {
        let weights = || self.servers.iter().map(|server| server.weight);
        match self.hash {
            Hash::Rendezvous if weights().any(|weight| weight != 1) => Err(WeightError::Unsupported(self.hash)),
            Hash::Consistent => match weights().map(u64::from).fold(0, u64::saturating_add) {
                sum if sum > u64::from(MAX_RING_WEIGHT) => Err(WeightError::TooLarge { hash: self.hash, sum }),
                _ => Ok(()),
            },
            Hash::Rendezvous | Hash::Modulo | Hash::Ketama => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ServerConfig, ServerParams, MAX_SERVERS, MAX_WEIGHT};
    use super::*;

    fn check(hash: Hash, weights: &[u32]) -> Result<(), String> {
        let (pool, _) = ServerParams::default().finish().unwrap();
        let server = |&weight: &u32| ServerConfig { name: "a:1".into(), addresses: 1, pool, weight };
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
    fn rendezvous_has_no_weights() {
        assert_eq!(check(Hash::Rendezvous, &[1, 1]), Ok(()));
        let text = "\"weight\" is not supported with \"memcache_hash rendezvous\"";
        assert_eq!(check(Hash::Rendezvous, &[1, 2]).unwrap_err(), text);
    }
}
