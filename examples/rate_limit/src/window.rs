//! Windows of time, keys, and the meaning of a count. It does not depend on nginx.

use std::time::Duration;

use base64::prelude::{Engine, BASE64_URL_SAFE_NO_PAD};
use md5::{Digest, Md5};

/// A limit of requests in each window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// At least 1.
    pub requests: u64,
    /// Seconds of a window, at least 1. Windows begin at multiples of this, so that all hosts agree on them.
    pub window: u32,
}

/// The window of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    limit: Limit,
    number: u64,
    /// Seconds until it ends: 1 to its length.
    left: u64,
}

/// The answer to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub is_refused: bool,
    pub limit: u64,
    pub remaining: u64,
    pub reset: u64,
}

impl Limit {
    /// The window of a moment, in seconds of Unix time.
    pub fn window_at(self, now: u64) -> Window {
        let length = u64::from(self.window.max(1));
        let number = now.checked_div(length).unwrap_or(0);
        let passed = now.checked_rem(length).unwrap_or(0);
        Window { limit: self, number, left: length.saturating_sub(passed) }
    }
}

impl Window {
    /// The name of the counter. Equal keys with windows of the same length share one.
    ///
    /// A client that chooses its key must not find one that memcached refuses, since it would not be counted. So the name
    /// has a digest of the key, and is short and printable: the longest `memcache_prefix` leaves room for it.
    pub fn name(&self, key: &[u8]) -> String {
        let digest = BASE64_URL_SAFE_NO_PAD.encode(Md5::digest(key));
        format!("rl:{}:{}:{digest}", self.limit.window, self.number)
    }

    /// How long the count is kept: a little longer than the window, for clocks that are behind.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.left.saturating_add(10))
    }

    /// The answer to the request with this number.
    pub fn verdict(&self, count: u64) -> Verdict {
        let limit = self.limit.requests;
        Verdict { is_refused: count > limit, limit, remaining: limit.saturating_sub(count), reset: self.left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { requests: 3, window: 60 };

    #[test]
    fn windows() {
        let at = |now| (LIMIT.window_at(now).number, LIMIT.window_at(now).left);
        assert_eq!(at(0), (0, 60));
        assert_eq!(at(59), (0, 1));
        assert_eq!(at(60), (1, 60));
        assert_eq!(at(1_800_000_059), (30_000_000, 1));
        assert_eq!(LIMIT.window_at(59).ttl(), Duration::from_secs(11));
        assert_eq!(
            Limit { requests: 1, window: 1 }.window_at(7),
            Window { limit: Limit { requests: 1, window: 1 }, number: 7, left: 1 }
        );
    }

    #[test]
    fn names() {
        let name = |now, key: &[u8]| LIMIT.window_at(now).name(key);
        // MD5("a") is 0cc175b9c0f1b6a831c399e269772661.
        assert_eq!(name(61, b"a"), "rl:60:1:DMF1ucDxtqgxw5niaXcmYQ");
        assert_eq!(name(61, b"a"), name(119, b"a"));
        assert_ne!(name(61, b"a"), name(121, b"a"));
        assert_ne!(name(61, b"a"), name(61, b"b"));
        assert_ne!(name(61, b"a"), Limit { requests: 3, window: 61 }.window_at(61).name(b"a"));
        // Nor does one of another window.
        assert_ne!(LIMIT.window_at(61).name(b"2:a"), LIMIT.window_at(121).name(b"a"));
    }

    /// What the longest `memcache_prefix`, of 200 bytes, leaves of memcached's 250.
    const ROOM: usize = 50;

    #[test]
    fn every_key_has_a_name_that_fits() {
        // Beside a day there are no longer windows; the number has ten digits until 2286.
        for limit in [Limit { requests: 1, window: 1 }, Limit { requests: 1, window: 86_400 }] {
            let window = limit.window_at(9_999_999_999);
            for byte in 0..=u8::MAX {
                for len in [0, 1, 16, 22, 32, 100, 101, 186, 187, 250, 251, 65_536] {
                    let name = window.name(&vec![byte; len]);
                    assert!(name.len() <= ROOM, "{name}");
                    assert!(name.bytes().all(|byte| byte.is_ascii_graphic()), "{name}");
                }
            }
        }
    }

    #[test]
    fn r50_no_short_key_counts_where_a_long_one_does() {
        let window = LIMIT.window_at(61);
        for long in [[b'x'; 101], [0; 101], [b'#'; 101]] {
            let item = window.name(&long);
            let digest = Md5::digest(long);
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let base64 = BASE64_URL_SAFE_NO_PAD.encode(digest);
            for start in ["", "#", "=", "#=", "=#"] {
                for end in [&digest[..], hex.as_bytes(), base64.as_bytes(), item.as_bytes()] {
                    let short = [start.as_bytes(), end].concat();
                    assert_ne!(window.name(&short), item, "{start}{hex}");
                }
            }
        }
    }

    #[test]
    fn verdicts() {
        let told = |count| {
            let verdict = LIMIT.window_at(50).verdict(count);
            (verdict.is_refused, verdict.limit, verdict.remaining, verdict.reset)
        };
        assert_eq!(told(1), (false, 3, 2, 10));
        assert_eq!(told(3), (false, 3, 0, 10));
        assert_eq!(told(4), (true, 3, 0, 10));
        assert_eq!(told(u64::MAX), (true, 3, 0, 10));
    }
}
