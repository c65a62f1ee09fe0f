#![allow(clippy::arithmetic_side_effects)]

mod moves;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::config::{ServerConfig, ServerParams};
use crate::limits::{MAX_RING_WEIGHT, MAX_WEIGHT};

const KEYS: [&str; 12] =
    ["foo", "bar", "cow", "key0", "key1", "key2", "key3", "key4", "key5", "key6", "key7", "session:42"];

fn router(hash: Hash, servers: &[(&str, u32)]) -> Router {
    let (pool, _) = ServerParams::default().finish().unwrap();
    let server = |&(name, weight): &(&str, u32)| ServerConfig {
        name: name.as_bytes().to_vec().into(),
        addresses: 1,
        pool,
        weight,
        backup: false,
    };
    Router::new(hash, &servers.iter().map(server).collect::<Vec<_>>())
}

fn servers(router: &Router) -> Vec<usize> {
    KEYS.iter().map(|key| router.route(key.as_bytes())).collect()
}

/// Vectors of apr_memcache 1.6.3 and libmemcached 1.1.4.
#[test]
fn modulo_vectors() {
    let vectors = [3187, 30463, 6612, 23387, 11356, 13653, 16978];
    for (key, hash) in KEYS.iter().zip(vectors) {
        assert_eq!(modulo_hash(key.as_bytes()), hash, "{key}");
    }
    let three = router(Hash::Modulo, &[("a:1", 1), ("b:1", 1), ("c:1", 1)]);
    assert_eq!(servers(&three), [1, 1, 0, 2, 1, 0, 1, 2, 2, 1, 0, 0]);
}

#[test]
fn modulo_weights_are_shares() {
    let weighted = router(Hash::Modulo, &[("a:1", 1), ("b:1", 2), ("c:1", 3)]);
    let mut shares = [0; 3];
    for n in 0..6000 {
        let key = format!("key{n}");
        let server = weighted.route(key.as_bytes());
        let expected = [0, 1, 1, 2, 2, 2][modulo_hash(key.as_bytes()) as usize % 6];
        assert_eq!(server, expected, "{key}");
        shares[server] += 1;
    }
    assert!(shares[0] < shares[1] && shares[1] < shares[2], "{shares:?}");
}

/// Vectors of libmemcached 1.1.4.
#[test]
fn ketama_vectors() {
    let hosts = |weights: [u32; 3]| {
        [("10.0.1.1:11211", weights[0]), ("10.0.1.2:11211", weights[1]), ("10.0.1.3:11211", weights[2])]
    };
    assert_eq!(servers(&router(Hash::Ketama, &hosts([1, 1, 1]))), [2, 2, 2, 0, 0, 1, 0, 1, 1, 2, 2, 1]);
    assert_eq!(servers(&router(Hash::Ketama, &hosts([1, 2, 3]))), [2, 2, 2, 1, 2, 1, 2, 1, 1, 2, 2, 1]);
    let ports = [("10.0.1.1:11211", 1), ("10.0.1.2:11212", 1), ("10.0.1.3:11213", 1)];
    assert_eq!(servers(&router(Hash::Ketama, &ports)), [1, 2, 1, 0, 0, 2, 0, 0, 2, 1, 1, 2]);
    let others = [("[2001:db8::1]:11211", 1), ("[2001:db8::1]:11212", 1), ("unix:/run/a.sock", 2)];
    assert_eq!(servers(&router(Hash::Ketama, &others)), [2, 0, 2, 0, 2, 2, 2, 2, 2, 2, 2, 2]);
}

/// Vectors of libmemcached 1.1.4 without any settings; `t/peers.t` compares more keys.
#[test]
fn one_at_a_time_vectors() {
    let three = [("10.0.1.1:11211", 1), ("10.0.1.2:11211", 1), ("10.0.1.3:11211", 1)];
    assert_eq!(servers(&router(Hash::OneAtATime, &three)), [0, 1, 0, 2, 2, 2, 2, 2, 2, 2, 1, 1]);
}

/// Vectors of nginx 1.22.1.
#[test]
fn consistent_vectors() {
    let weighted = [("10.0.0.1:11211", 3), ("10.0.0.2:11211", 1), ("10.0.0.3:11212", 2)];
    assert_eq!(servers(&router(Hash::Consistent, &weighted)), [1, 2, 2, 0, 0, 1, 0, 2, 0, 0, 1, 0]);
}

/// Vectors of memcache 0.21.0, built with Rust 1.95.
#[test]
fn rendezvous_vectors() {
    let three = [("10.0.1.1:11211", 1), ("10.0.1.2:11211", 1), ("10.0.1.3:11211", 1)];
    assert_eq!(servers(&router(Hash::Rendezvous, &three)), [1, 1, 1, 0, 1, 0, 2, 0, 0, 2, 1, 1]);
    let others = [("[2001:db8::1]:11211", 1), ("localhost:11212", 1), ("unix:/run/a.sock", 1), ("a", 1)];
    assert_eq!(servers(&router(Hash::Rendezvous, &others)), [3, 1, 0, 2, 1, 3, 3, 0, 2, 1, 0, 2]);
}

proptest! {
    /// All lengths, as the rest of eight bytes is hashed another way. When this fails with a new Rust and the vectors do
    /// not, programs that use the crate `memcache` have moved their keys: what they are built with then decides.
    #[test]
    #[cfg(all(target_endian = "little", target_pointer_width = "64"))]
    fn rendezvous_hashes_as_the_standard_library(bytes in vec(any::<u8>(), 0..260)) {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        prop_assert_eq!(crate::route::rendezvous::hash(&bytes), hasher.finish());
    }
}

/// Names that have a point in common, and keys that belong to it (nginx 1.22.1, libmemcached 1.1.4).
#[test]
fn a_shared_point_is_that_of_the_server_listed_first() {
    let shared = [
        (Hash::Consistent, ["10.3.2.128:11211", "10.3.5.16:11211"], ["key354", "key750", "key801"]),
        (Hash::Ketama, ["10.3.0.3:11211", "10.3.2.250:11211"], ["key197", "key209", "key298"]),
    ];
    for (hash, [a, b], keys) in shared {
        let (ab, ba) = (router(hash, &[(a, 1), (b, 1)]), router(hash, &[(b, 1), (a, 1)]));
        for key in keys {
            assert_eq!([ab.route(key.as_bytes()), ba.route(key.as_bytes())], [0, 0], "{hash:?} {key}");
        }
    }
}

/// Fifty servers, keys on a point and one behind the last (nginx 1.22.1, libmemcached 1.1.4).
#[test]
fn a_point_is_its_servers_and_the_ring_is_closed() {
    let names: Vec<String> = (1..=50).map(|n| format!("10.1.{n}.1:11211")).collect();
    let fifty: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let vectors = [
        (Hash::Consistent, [("point176645", 11), ("point1921816", 38), ("key8623", 4)]),
        (Hash::Ketama, [("point952540", 43), ("point1671099", 6), ("key16714", 39)]),
    ];
    for (hash, keys) in vectors {
        let router = router(hash, &fifty);
        for (key, server) in keys {
            assert_eq!(router.route(key.as_bytes()), server, "{hash:?} {key}");
        }
    }
}

/// nginx and libmemcached; apr_memcache takes this hash for 1.
#[test]
fn a_hash_of_zero_is_zero() {
    assert_eq!(modulo_hash(b"key9348"), 0);
    assert_eq!(router(Hash::Modulo, &[("a:1", 1), ("b:1", 1)]).route(b"key9348"), 0);
}

#[test]
fn rings_are_no_larger_than_the_bound() {
    let points = |hash, weights: &[u32]| {
        let names: Vec<String> = (0..weights.len()).map(|n| format!("10.0.0.{n}:11211")).collect();
        let list: Vec<(&str, u32)> = names.iter().map(String::as_str).zip(weights.iter().copied()).collect();
        match router(hash, &list) {
            Router::Consistent(continuum) | Router::Ketama(continuum) => continuum.points(),
            other => panic!("{other:?}"),
        }
    };
    let bound = MAX_RING_WEIGHT as usize * 160;
    assert!((bound * 99 / 100..=bound).contains(&points(Hash::Consistent, &[MAX_RING_WEIGHT])));
    // In ketama a weight is a share of what the servers have together.
    for weights in [[1, 1, 1], [MAX_WEIGHT; 3], [MAX_WEIGHT, 1, 1]] {
        assert!((475..=480).contains(&points(Hash::Ketama, &weights)), "{weights:?}");
    }
    // 50 times 1/50 is less than 1 in libmemcached's precision: 39 MD5s.
    assert_eq!(points(Hash::Ketama, &[1; 50]), 50 * 39 * 4);
}

#[test]
fn every_scheme_spreads_and_moves_few_keys() {
    let names: Vec<String> = (0..5).map(|n| format!("10.0.0.{n}:11211")).collect();
    let five: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    for hash in [Hash::Consistent, Hash::Ketama, Hash::Rendezvous] {
        let (before, after) = (router(hash, &five), router(hash, &five[..4]));
        let mut shares = [0; 5];
        for n in 0..10_000 {
            let key = format!("key{n}");
            let server = before.route(key.as_bytes());
            shares[server] += 1;
            if server < 4 {
                assert_eq!(after.route(key.as_bytes()), server, "{hash:?} moved {key}");
            }
        }
        assert!(shares.iter().all(|&share| share > 1_000), "{hash:?}: {shares:?}");
    }
}

#[test]
fn one_server_has_all_keys() {
    for hash in Hash::ALL {
        let one = router(hash, &[("unix:/run/memcached.sock", 1)]);
        assert_eq!(servers(&one), [0; 12], "{hash:?}");
    }
}

#[test]
fn names_are_taken_apart_as_nginx_does() {
    let points = |name| match router(Hash::Consistent, &[(name, 2)]) {
        Router::Consistent(continuum) => continuum.points(),
        other => panic!("{other:?}"),
    };
    for name in ["a:1", "a", "[::1]:11211", "unix:/a:1", "a:b", ""] {
        assert!((310..=320).contains(&points(name)), "{name}");
    }
}

/// Who stands in is who would have the key if the server were not in the list, except in `modulo`, where that would
/// move nearly all keys.
#[test]
fn the_one_that_stands_in() {
    let names: Vec<String> = (0..5).map(|n| format!("10.0.0.{n}:11211")).collect();
    let five: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    for hash in Hash::ALL {
        let all = router(hash, &five);
        for dead in 0..5 {
            let mut rest = five.clone();
            rest.remove(dead);
            let without = router(hash, &rest);
            let keys = (0..2_000).map(|n| format!("key{n}")).filter(|key| all.route(key.as_bytes()) == dead);
            for key in keys {
                let expected = match hash {
                    Hash::Modulo | Hash::OneAtATime => (dead + 1) % 5,
                    _ => without.route(key.as_bytes()),
                };
                let in_list = matches!(hash, Hash::Modulo | Hash::OneAtATime);
                let expected = expected + usize::from(!in_list && expected >= dead);
                assert_eq!(all.stand_in(key.as_bytes(), |server| server != dead), Some(expected), "{hash:?}: {key}");
                let last = (dead + 4) % 5;
                assert_eq!(all.stand_in(key.as_bytes(), |server| server == last), Some(last), "{hash:?}: {key}");
            }
        }
        assert_eq!(all.stand_in(b"k", |_| false), None, "{hash:?}");
    }
}

#[test]
fn an_explanation_is_the_way_that_keys_go() {
    for hash in Hash::ALL {
        let router = router(hash, &[("a:1", 1), ("b:1", 1), ("c:1", 1), ("d:1", 1)]);
        for key in KEYS.iter().map(|key| key.as_bytes()) {
            let candidates = router.explain(key, 8).candidates;
            for (asked, &server) in candidates.iter().enumerate() {
                let is_left = |server| !candidates[..asked].contains(&server);
                assert_eq!(router.stand_in(key, is_left), Some(server), "{hash:?} {key:?}");
            }
            assert_eq!(candidates.first(), Some(&router.route(key)));
            assert_eq!(candidates.len(), 4, "each once");
            assert_eq!(router.explain(key, 2).candidates, candidates[..2]);
        }
    }
}

#[test]
fn an_explanation_has_the_numbers() {
    let servers = [("a:1", 1), ("b:1", 2)];
    let of = |hash| router(hash, &servers).explain(b"foo", 1);
    assert_eq!(of(Hash::Modulo), Explanation { hash: Some(3187), point: Some(1), candidates: vec![1] });
    let ring = of(Hash::Consistent);
    assert_eq!(ring.hash, Some(crc32fast::hash(b"foo")));
    assert!(ring.point >= ring.hash, "the next point, for this hash: {ring:?}");
    let ring = of(Hash::Ketama);
    assert_eq!(ring.hash, Some(ketama_hash(b"foo")));
    assert!(ring.point >= ring.hash, "{ring:?}");
    let servers = [("a:1", 1)];
    let one = router(Hash::Rendezvous, &servers).explain(b"foo", 8);
    assert_eq!(one, Explanation { hash: None, point: None, candidates: vec![0] });
}
