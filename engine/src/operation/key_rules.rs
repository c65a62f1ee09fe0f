//! How the keys of a client are made from those that callers pass.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::key::{is_text, Key, KeyError, MAX_BINARY_KEY, MAX_KEY, MAX_LONG_KEY};

/// The settings of a client that concern its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRules {
    /// In front of every key (`memcache_prefix`).
    pub prefix: Bytes,
    /// Whether the prefix is a part of what routing hashes (`memcache_hash_prefix`).
    pub hash_prefix: bool,
    /// The part of a key that routing hashes instead of the whole (`memcache_hash_tag`).
    pub hash_tag: Option<HashTag>,
    /// What happens to keys that are too long (`memcache_long_keys`).
    pub long_keys: LongKeys,
}

/// Two bytes. If a key has the first one, and behind it the second, routing hashes what is between them, unless that is empty. Both
/// are the first of their kind: twemproxy's `hash_tag` (`nc_server.c`, `server_pool_idx`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashTag {
    /// The first byte.
    pub open: u8,
    /// The second byte; it may be the same one.
    pub close: u8,
}

/// What happens to keys that are too long (`memcache_long_keys`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongKeys {
    /// They are refused.
    #[default]
    Refuse,
    /// The start of the key and its SHA-256 are sent instead, also for a key that ends like such a one: the prefix, as many bytes of the key as there is room for and the
    /// text protocol can carry, `#`, and 64 hexadecimal digits. The digest is that of the key without the prefix.
    Hash,
}

impl LongKeys {
    /// All of them.
    pub const ALL: [LongKeys; 2] = [LongKeys::Refuse, LongKeys::Hash];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            LongKeys::Refuse => "refuse",
            LongKeys::Hash => "hash",
        }
    }

    /// The choice with this word.
    pub fn parse(word: &[u8]) -> Option<LongKeys> {
        LongKeys::ALL.into_iter().find(|choice| choice.name().as_bytes() == word)
    }
}

impl Default for KeyRules {
    fn default() -> Self {
        KeyRules::with_prefix(Bytes::new())
    }
}

/// `#` and the digits of a SHA-256.
const DIGEST: usize = 65;

impl KeyRules {
    /// A prefix, and the defaults for the rest.
    pub fn with_prefix(prefix: Bytes) -> Self {
        KeyRules { prefix, hash_prefix: true, hash_tag: None, long_keys: LongKeys::default() }
    }

    /// The longest prefix that leaves room for the digest of a long key, in bytes: fewer if it has bytes that the text protocol
    /// cannot carry, since the whole key is encoded then.
    pub fn max_prefix_of_long_keys(prefix: &[u8]) -> usize {
        let most = if is_text(prefix) { MAX_KEY } else { MAX_BINARY_KEY };
        most.saturating_sub(DIGEST)
    }

    /// The key that is sent for a caller's, in the memory of `spare`. An error says why there is none.
    #[inline]
    pub fn key(&self, key: &[u8], spare: Vec<u8>) -> Result<Key, KeyError> {
        let made = match Key::new(&self.prefix, key, spare) {
            Err(KeyError::TooLong(_)) if self.long_keys == LongKeys::Hash => self.digest(key)?,
            // Who chooses a key must not reach the item of another, long one.
            Ok(_) if self.long_keys == LongKeys::Hash && has_digest(key) => self.digest(key)?,
            made => made?,
        };
        if self.hash_prefix && self.hash_tag.is_none() {
            return Ok(made);
        }
        Ok(self.route(made))
    }

    #[cold]
    fn digest(&self, key: &[u8]) -> Result<Key, KeyError> {
        if key.len() > MAX_LONG_KEY {
            return Err(KeyError::NoDigest(key.len()));
        }
        let room = Self::max_prefix_of_long_keys(&self.prefix).saturating_sub(self.prefix.len());
        let carried = key.iter().take(room).take_while(|byte| is_text(&[**byte])).count();
        let mut short = key.get(..carried).unwrap_or_default().to_vec();
        short.push(b'#');
        for byte in Sha256::digest(key) {
            short.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
        Key::new(&self.prefix, &short, Vec::new())
    }

    fn route(&self, key: Key) -> Key {
        let whole = key.raw();
        let start = if self.hash_prefix { 0 } else { self.prefix.len() };
        let tagged = self.hash_tag.and_then(|tag| tag.find(whole.get(start..)?));
        let (start, end) =
            tagged.map_or((start, whole.len()), |(from, to)| (start.saturating_add(from), start.saturating_add(to)));
        key.routed_by(start, end)
    }
}

/// Whether a key ends like those that are made of long ones.
fn has_digest(key: &[u8]) -> bool {
    let end = key.len().checked_sub(DIGEST).and_then(|start| key.get(start..));
    let digits = end.and_then(|end| end.strip_prefix(b"#"));
    digits.is_some_and(|digits| digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

impl HashTag {
    /// Where the tagged part of a key begins and ends.
    fn find(self, key: &[u8]) -> Option<(usize, usize)> {
        let start = memchr::memchr(self.open, key)?.checked_add(1)?;
        let len = memchr::memchr(self.close, key.get(start..)?).filter(|&len| len > 0)?;
        Some((start, start.checked_add(len)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(change: impl FnOnce(&mut KeyRules)) -> KeyRules {
        let mut rules = KeyRules::default();
        change(&mut rules);
        rules
    }

    fn sent(rules: &KeyRules, key: &[u8]) -> Key {
        rules.key(key, Vec::new()).unwrap()
    }

    fn routed(rules: &KeyRules, key: &str) -> String {
        String::from_utf8(sent(rules, key.as_bytes()).routed().to_vec()).unwrap()
    }

    const BRACES: Option<HashTag> = Some(HashTag { open: b'{', close: b'}' });

    #[test]
    fn r43_the_prefix_is_hashed_or_not() {
        let hashed = KeyRules::with_prefix("p:".into());
        assert_eq!(routed(&hashed, "cow"), "p:cow");
        let unhashed = KeyRules { hash_prefix: false, ..hashed };
        assert_eq!(routed(&unhashed, "cow"), "cow");
        assert_eq!(sent(&unhashed, b"cow").raw(), b"p:cow");
        assert_eq!(sent(&unhashed, &[b'k'; 248]).routed(), [b'k'; 248]);
        assert_eq!(routed(&rules(|rules| rules.hash_prefix = false), "cow"), "cow", "without a prefix");
    }

    #[test]
    fn a_tag_is_what_twemproxy_takes_for_one() {
        let rules = rules(|rules| rules.hash_tag = BRACES);
        for (key, hashed) in [
            ("cow", "cow"),
            ("{cow}", "cow"),
            ("a{cow}b", "cow"),
            ("a{cow}{pig}", "cow"),
            ("a{{cow}}", "{cow"),
            ("a}{cow}", "cow"),
            ("a{}b{cow}", "a{}b{cow}"),
            ("a{}", "a{}"),
            ("a{cow", "a{cow"),
            ("}a{", "}a{"),
            ("{", "{"),
        ] {
            assert_eq!(routed(&rules, key), hashed, "{key}");
        }
        let same = KeyRules { hash_tag: Some(HashTag { open: b'|', close: b'|' }), ..rules };
        assert_eq!(routed(&same, "a|cow|b|"), "cow");
        assert_eq!(routed(&same, "a||b|"), "a||b|");
    }

    #[test]
    fn a_tag_may_be_in_the_prefix_if_that_is_hashed() {
        let prefix = KeyRules { hash_tag: BRACES, ..KeyRules::with_prefix("{farm}:".into()) };
        assert_eq!(routed(&prefix, "a{cow}"), "farm");
        let unhashed = KeyRules { hash_prefix: false, ..prefix };
        assert_eq!(routed(&unhashed, "a{cow}"), "cow");
        assert_eq!(routed(&unhashed, "cow"), "cow");
        let half = KeyRules { prefix: "{farm".into(), ..unhashed };
        assert_eq!(routed(&half, "a}b"), "a}b");
        assert_eq!(routed(&KeyRules { hash_prefix: true, ..half }, "a}b"), "farma");
    }

    #[test]
    fn long_keys_are_refused_or_become_a_digest() {
        assert_eq!(KeyRules::default().key(&[b'a'; 251], Vec::new()), Err(KeyError::TooLong(251)));

        let hash = rules(|rules| rules.long_keys = LongKeys::Hash);
        assert_eq!(sent(&hash, &[b'a'; 250]).raw(), [b'a'; 250], "those that fit stay as they are");
        assert_eq!(hash.key(b"", Vec::new()), Err(KeyError::Empty));

        // printf 'a%.0s' {1..251} | sha256sum
        let digest = "#772f911dd9d6692897188d0b03f718fb5fbd02020d0fce1374f1354a31205024";
        let key = sent(&hash, &[b'a'; 251]);
        assert_eq!(key.raw().len(), MAX_KEY);
        assert_eq!(key.raw().get(..185), Some(&[b'a'; 185][..]));
        assert_eq!(key.raw().get(185..), Some(digest.as_bytes()));
        assert_eq!(key.routed(), key.raw(), "other clients see no more of the key");
        assert!(!key.is_binary());
    }

    #[test]
    fn no_other_key_is_that_of_a_long_one() {
        let hash = rules(|rules| rules.long_keys = LongKeys::Hash);
        let long = sent(&hash, &[b'a'; 300]);
        let again = sent(&hash, long.raw());
        assert_ne!(again.raw(), long.raw(), "it has a digest of its own");
        assert_ne!(sent(&hash, again.raw()).raw(), again.raw());
        for near in [&long.raw()[..249], &long.raw()[186..], b"#", b"a#0123"] {
            assert_eq!(sent(&hash, near).raw(), near);
        }
        let refuse = KeyRules::default();
        assert_eq!(sent(&refuse, long.raw()).raw(), long.raw());
    }

    #[test]
    fn a_digest_is_of_the_key_alone_and_of_all_of_it() {
        let plain = rules(|rules| rules.long_keys = LongKeys::Hash);
        let prefix = KeyRules { prefix: "farm:".into(), ..plain.clone() };
        let digest = |key: &Key| key.raw().split(|&b| b == b'#').next_back().unwrap().to_vec();
        let (a, b) = (sent(&plain, &[b'a'; 300]), sent(&prefix, &[b'a'; 300]));
        assert_eq!(digest(&a), digest(&b));
        assert!(b.raw().starts_with(b"farm:aaa") && b.raw().len() == MAX_KEY);
        let mut other = [b'a'; 300];
        other[299] = b'b';
        assert_ne!(digest(&a), digest(&sent(&plain, &other)));
        assert!(plain.key(&[b'a'; MAX_LONG_KEY], Vec::new()).is_ok());
        assert_eq!(plain.key(&[b'a'; MAX_LONG_KEY + 1], Vec::new()), Err(KeyError::NoDigest(MAX_LONG_KEY + 1)));
    }

    #[test]
    fn a_long_key_is_never_binary_but_by_its_prefix() {
        let plain = rules(|rules| rules.long_keys = LongKeys::Hash);
        for at in [0, 1, 100, 186] {
            let mut key = vec![b'a'; 187];
            key[at] = b' ';
            let sent = sent(&plain, &key);
            assert!(!sent.is_binary(), "{at}");
            assert_eq!(sent.raw().len(), at.min(185) + DIGEST, "{at}");
        }
        for prefix in [&b"a b"[..], &[b' '; 121], &[b'p'; 185], &[b'p'; 1], b""] {
            let rules = KeyRules { prefix: Bytes::copy_from_slice(prefix), ..plain.clone() };
            assert!(prefix.len() <= KeyRules::max_prefix_of_long_keys(prefix));
            for key in [&[b'a'; 1000][..], &[b' '; 1000], "ü".repeat(500).as_bytes()] {
                let sent = sent(&rules, key);
                assert_eq!(sent.is_binary(), !is_text(prefix));
                assert!(sent.raw().starts_with(prefix));
            }
        }
    }
}
