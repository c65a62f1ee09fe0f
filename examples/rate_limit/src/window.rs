//! Windows of time, keys, and what a count means. No nginx in here.

use std::time::Duration;

use md5::{Digest, Md5};

/// Bytes of a key that are counted as they are; of a longer one, its digest is.
const MAX_PLAIN: usize = 100;

/// How many requests there may be in each window of time.
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

/// What is said to a client.
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
    /// Where its requests are counted. Equal keys with windows of the same length are counted together.
    pub fn key(&self, key: &[u8]) -> Vec<u8> {
        let mut name = format!("rl:{}:{}:", self.limit.window, self.number).into_bytes();
        // A byte of its own for each kind: a key is often what a client has chosen, and could be the digest of another's.
        if key.len() <= MAX_PLAIN {
            name.push(b'=');
            name.extend_from_slice(key);
        } else {
            name.push(b'#');
            name.extend_from_slice(&Md5::digest(key));
        }
        name
    }

    /// How long the count is kept: for clocks that are a little behind, a little longer than the window.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.left.saturating_add(10))
    }

    /// What the request is told that was counted as number `count`.
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
    fn keys() {
        let key = |now, key: &[u8]| LIMIT.window_at(now).key(key);
        assert_eq!(key(61, b"a"), b"rl:60:1:=a");
        assert_ne!(key(61, b"a"), key(121, b"a"));
        assert_ne!(key(61, b"a"), Limit { requests: 3, window: 61 }.window_at(61).key(b"a"));

        let long = [b'x'; 101];
        assert_eq!(key(61, &long).len(), b"rl:60:1:#".len() + 16);
        assert_ne!(key(61, &long), key(61, &[b'x'; 102]));
        assert_eq!(key(61, &long[1..]).len(), b"rl:60:1:=".len() + 100);
        // memcached takes no more than 186 bytes of a key with control characters.
        assert!(Limit { requests: 1, window: u32::MAX }.window_at(u64::MAX).key(&[0; 100]).len() <= 186);
    }

    #[test]
    fn r50_no_short_key_counts_where_a_long_one_does() {
        let window = LIMIT.window_at(61);
        for long in [[b'x'; 101], [0; 101], [b'#'; 101]] {
            let item = window.key(&long);
            let digest = Md5::digest(long);
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            for start in ["", "#", "=", "#=", "=#"] {
                for end in [&digest[..], hex.as_bytes()] {
                    let short = [start.as_bytes(), end].concat();
                    assert_ne!(window.key(&short), item, "{start}{hex}");
                }
            }
        }
        // Nor where one of another window does.
        assert_ne!(LIMIT.window_at(61).key(b"2:=a"), LIMIT.window_at(121).key(b"a"));
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
