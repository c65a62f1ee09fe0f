//! Which server has a key.

use crate::config::{Config, Hash};

/// The continuum of a server list, made once from the configuration.
#[derive(Debug)]
pub(crate) struct Router {
    hash: Hash,
    /// The sum of the weights up to and including each server.
    ///
    /// Invariant: not empty, and strictly increasing.
    bounds: Vec<u32>,
}

impl Router {
    pub fn new(config: &Config) -> Self {
        let bounds = config
            .servers
            .iter()
            .scan(0u32, |sum, server| {
                *sum = sum.saturating_add(server.weight);
                Some(*sum)
            })
            .collect();
        Router { hash: config.hash, bounds }
    }

    /// The index of the key's server.
    pub fn route(&self, key: &[u8]) -> usize {
        match self.hash {
            Hash::Modulo => {
                let total = self.bounds.last().copied().unwrap_or(1);
                let point = modulo_hash(key).checked_rem(total).unwrap_or(0);
                self.bounds.partition_point(|&bound| bound <= point)
            }
        }
    }
}

/// The hash of apr_memcache, libmemcached (`MODULA` with `CRC`) and nginx `hash $key`: 15 bits of the CRC-32.
fn modulo_hash(key: &[u8]) -> u32 {
    (crc32fast::hash(key) >> 16) & 0x7fff
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::config::{ServerConfig, ServerParams};

    fn router(weights: &[u32]) -> Router {
        let (pool, _) = ServerParams::default().finish().expect("defaults are valid");
        let server = |&weight| ServerConfig { name: "a:1".into(), addresses: 1, pool, weight };
        Router::new(&Config::new(weights.iter().map(server).collect()))
    }

    /// Vectors of apr_memcache 1.6.3 and libmemcached 1.1.4.
    #[test]
    fn modulo_vectors() {
        let vectors: [(&str, u32); 7] = [
            ("foo", 3187),
            ("bar", 30463),
            ("cow", 6612),
            ("key0", 23387),
            ("key1", 11356),
            ("key2", 13653),
            ("key3", 16978),
        ];
        for (key, hash) in vectors {
            assert_eq!(modulo_hash(key.as_bytes()), hash, "{key}");
        }
        let keys = ["foo", "bar", "cow", "key0", "key1", "key2", "key3", "key4", "key5", "key6", "key7", "session:42"];
        let three = router(&[1, 1, 1]);
        let servers: Vec<_> = keys.iter().map(|key| three.route(key.as_bytes())).collect();
        assert_eq!(servers, [1, 1, 0, 2, 1, 0, 1, 2, 2, 1, 0, 0]);
    }

    #[test]
    fn a_weight_is_a_share() {
        let weighted = router(&[1, 2, 3]);
        let mut shares = [0; 3];
        for n in 0..6000 {
            let key = format!("key{n}");
            let server = weighted.route(key.as_bytes());
            let expected = [0, 1, 1, 2, 2, 2][modulo_hash(key.as_bytes()) as usize % 6];
            assert_eq!(server, expected, "{key}");
            shares[server] += 1;
        }
        assert!(shares[0] < shares[1] && shares[1] < shares[2], "{shares:?}");
        assert_eq!(router(&[7]).route(b"any"), 0);
    }
}
