//! The highest random weight: a key weighs each server by a hash of both, and belongs to the one that weighs most.

use crate::config::ServerConfig;

/// The hash of each server's name.
#[derive(Debug)]
pub(crate) struct Rendezvous(Box<[u64]>);

impl Rendezvous {
    pub fn new(servers: &[ServerConfig]) -> Self {
        Rendezvous(servers.iter().map(|server| hash(&server.name)).collect())
    }

    /// The `live` server that weighs most, the first one of those that weigh the same; `None` if none is live.
    pub fn find_live(&self, key: &[u8], live: impl Fn(usize) -> bool) -> Option<usize> {
        let key = hash(key);
        let weigh = |&(_, server): &(usize, &u64)| mix(key ^ server);
        // Of equal ones `max_by_key` takes the last.
        self.0.iter().enumerate().rev().filter(|&(index, _)| live(index)).max_by_key(weigh).map(|(index, _)| index)
    }
}

/// Spreads a combined hash over all 64 bits: the end of SplitMix64.
fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The value of Rust's standard hasher for a slice of bytes, on little-endian machines with 64 bits:
/// SipHash-1-3 with the key 0, over the length and the bytes.
///
/// The standard library may change its hasher. So this is a copy: another version of the compiler must not move the keys of
/// a cluster.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mut state = Sip::new();
    state.add(bytes.len() as u64);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        state.add(little_endian(word));
    }
    let length = (bytes.len() as u64).wrapping_add(8) << 56;
    state.add(length | little_endian(words.remainder()));
    state.finish()
}

/// Up to eight bytes, the lowest first.
fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| (word << 8) | u64::from(byte))
}

/// SipHash with one round for each word and three at the end (Aumasson and Bernstein, 2012), and a key of zeros.
struct Sip(u64, u64, u64, u64);

impl Sip {
    fn new() -> Self {
        Sip(0x736f_6d65_7073_6575, 0x646f_7261_6e64_6f6d, 0x6c79_6765_6e65_7261, 0x7465_6462_7974_6573)
    }

    fn add(&mut self, word: u64) {
        self.3 ^= word;
        self.round();
        self.0 ^= word;
    }

    fn finish(mut self) -> u64 {
        self.2 ^= 0xff;
        (0..3).for_each(|_| self.round());
        self.0 ^ self.1 ^ self.2 ^ self.3
    }

    fn round(&mut self) {
        let Sip(a, b, c, d) = self;
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *a;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(16) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(21) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }
}
