//! Keys. The type cannot hold a key that cannot be sent.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use bytes::Bytes;
use thiserror::Error;

/// The longest key on the wire, in bytes, prefix and encoding included (memcached's `KEY_MAX_LENGTH`).
pub const MAX_KEY: usize = 250;

/// The longest key that is sent encoded, prefix included.
pub(super) const MAX_BINARY_KEY: usize = 186;

/// The longest key that [`LongKeys::Hash`](super::key_rules::LongKeys::Hash) makes shorter, in bytes.
pub const MAX_LONG_KEY: usize = 8 * 1024;

/// Why a key cannot be sent.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// A key has at least one byte.
    #[error("the key is empty")]
    Empty,
    /// The key is too long, including the prefix, and encoded if it has bytes that cannot be sent as they are.
    #[error("the key needs {0} bytes, the limit is {MAX_KEY}")]
    TooLong(usize),
    /// The key is longer than those for which [`LongKeys::Hash`](super::key_rules::LongKeys::Hash) makes a digest.
    #[error("the key has {0} bytes, the limit is {MAX_LONG_KEY}")]
    NoDigest(usize),
    /// The key has a byte up to 0x20 or 0x7f, and the server with this name speaks the text protocol, which cannot carry it.
    #[error("server {} speaks text: it takes no keys with spaces or control characters", .0.escape_ascii())]
    NotText(Bytes),
}

/// A key with its prefix, 1 to 250 bytes on the wire.
///
/// A key with a byte up to 0x20 or 0x7f is sent base64-encoded with the meta flag `b`, every other as it is. This type
/// is a security boundary: memcached before 1.6.40 runs the *value* of a store as commands when it refuses the key, so
/// a key that it would refuse must not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Invariant: not empty, and no longer on the wire than [`MAX_KEY`].
    raw: Vec<u8>,
    /// Invariant: exactly if `raw` has a byte that the text protocol cannot carry.
    binary: bool,
    /// The part of `raw` that routing hashes.
    routed: (u8, u8),
}

impl Key {
    /// Joins prefix and key, using the memory of `spare`.
    pub(crate) fn new(prefix: &[u8], key: &[u8], spare: Vec<u8>) -> Result<Self, KeyError> {
        if key.is_empty() {
            return Err(KeyError::Empty);
        }
        let len = prefix.len().saturating_add(key.len());
        if len > MAX_KEY {
            return Err(KeyError::TooLong(len));
        }
        let mut raw = spare;
        raw.clear();
        raw.extend_from_slice(prefix);
        raw.extend_from_slice(key);
        let binary = !is_text(&raw);
        if binary {
            let encoded = base64::encoded_len(len, true).unwrap_or(usize::MAX);
            if encoded > MAX_KEY {
                return Err(KeyError::TooLong(encoded));
            }
        }
        Ok(Key::whole(raw, binary))
    }

    /// A key that routing hashes as a whole.
    fn whole(raw: Vec<u8>, binary: bool) -> Self {
        let end = u8::try_from(raw.len()).unwrap_or(u8::MAX);
        Key { raw, binary, routed: (0, end) }
    }

    /// The same key, of which routing hashes this part alone.
    pub(super) fn routed_by(self, start: usize, end: usize) -> Self {
        let place = |at| u8::try_from(at).unwrap_or(u8::MAX);
        Key { routed: (place(start), place(end)), ..self }
    }

    /// A key that no caller uses, for the trial of a server. It is sent encoded, since this must be tested, too. It begins with as
    /// much of the prefix as fits.
    pub(crate) fn greeting(prefix: &[u8], random: u64) -> Self {
        let name = format!("ngx_http_memcache greeting {random:016x}");
        let room = MAX_BINARY_KEY.saturating_sub(name.len());
        let prefix = prefix.get(..prefix.len().min(room)).unwrap_or_default();
        Key::whole([prefix, name.as_bytes()].concat(), true)
    }

    /// The same for what takes no such keys: as it is, and without a prefix that could not be sent so.
    pub(crate) fn text_greeting(prefix: &[u8], random: u64) -> Self {
        let name = format!("ngx_http_memcache_greeting_{random:016x}");
        let room = MAX_KEY.saturating_sub(name.len());
        let prefix = prefix.get(..prefix.len().min(room)).unwrap_or_default();
        let prefix = if is_text(prefix) { prefix } else { &[] };
        Key::whole([prefix, name.as_bytes()].concat(), false)
    }

    /// The key that a server has named, including the prefix; `None` if this client would never send it.
    pub(crate) fn from_wire(bytes: &[u8], encoded: bool) -> Option<Self> {
        let raw = if encoded { STANDARD.decode(bytes).ok()? } else { bytes.to_vec() };
        Key::new(&[], &raw, Vec::new()).ok()
    }

    /// Whether a key that a server has named is this one.
    ///
    /// memcached names an item's key encoded if the item was stored with an encoded key, however this client has sent it. For
    /// an item that it has made by itself, for `ma` with an initial value or for a lease, it names the raw key, even with bytes
    /// that a line cannot have (measured with 1.6.10 to 1.6.45).
    pub(crate) fn is_named(&self, name: &[u8], encoded: bool) -> bool {
        match (self.binary, encoded) {
            (false, false) => name == self.raw,
            (false, true) => self.encoded(|encoded| name == encoded),
            // The raw form can be no other key, and no caller uses a key like the encoded form.
            (true, _) => name == self.raw || self.encoded(|encoded| name == encoded),
        }
    }

    /// Prefix and key, as bytes that are not encoded.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The part that routing hashes, according to [`KeyRules`](super::key_rules::KeyRules).
    pub fn routed(&self) -> &[u8] {
        let (start, end) = self.routed;
        self.raw.get(start.into()..end.into()).unwrap_or(&self.raw)
    }

    /// Whether the key is sent base64-encoded.
    pub fn is_binary(&self) -> bool {
        self.binary
    }

    /// Calls `with` with the bytes that stand for the key on the wire.
    pub(crate) fn wire<R>(&self, with: impl FnOnce(&[u8]) -> R) -> R {
        if !self.binary {
            return with(&self.raw);
        }
        self.encoded(with)
    }

    fn encoded<R>(&self, with: impl FnOnce(&[u8]) -> R) -> R {
        let mut encoded = [0; MAX_KEY.div_ceil(3).saturating_mul(4)];
        // There is room for every key, so the empty answer, which no server ever echoes, is unused.
        let len = STANDARD.encode_slice(&self.raw, &mut encoded).unwrap_or(0);
        with(encoded.get(..len).unwrap_or_default())
    }

    /// Gives the key's memory back for the next one.
    pub(crate) fn into_spare(self) -> Vec<u8> {
        self.raw
    }
}

/// Whether the text protocol can carry these bytes.
#[inline]
pub(super) fn is_text(bytes: &[u8]) -> bool {
    // All of them, without a way out: so the compiler looks at many bytes at once.
    !bytes.iter().fold(false, |found, &b| found | (b <= 0x20) | (b == 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(prefix: &[u8], key: &[u8]) -> Result<Key, KeyError> {
        Key::new(prefix, key, Vec::new())
    }

    fn wire(key: &Key) -> Vec<u8> {
        key.wire(<[u8]>::to_vec)
    }

    #[test]
    fn text_keys_go_out_as_they_are() {
        let k = key(b"", b"cow").unwrap();
        assert_eq!(wire(&k), b"cow");
        assert!(!k.is_binary());
        let k = key(b"farm:", "k\u{fc}h".as_bytes()).unwrap();
        assert_eq!(wire(&k), "farm:k\u{fc}h".as_bytes());
    }

    #[test]
    fn every_forbidden_byte_is_encoded() {
        for byte in 0..=255u8 {
            let k = key(b"p", &[byte]).unwrap();
            let forbidden = byte <= 0x20 || byte == 0x7f;
            assert_eq!(k.is_binary(), forbidden, "{byte:#x}");
            assert_eq!(k.raw(), [b'p', byte]);
            assert!(wire(&k).iter().all(|&b| b > 0x20 && b != 0x7f));
        }
        assert_eq!(wire(&key(b"", &[4]).unwrap()), b"BA==");
    }

    #[test]
    fn lengths_hold_with_prefix_and_after_encoding() {
        assert_eq!(key(b"p", b""), Err(KeyError::Empty));
        assert!(key(b"", &[b'a'; 250]).is_ok());
        assert_eq!(key(b"", &[b'a'; 251]), Err(KeyError::TooLong(251)));
        assert!(key(b"pp", &[b'a'; 248]).is_ok());
        assert_eq!(key(b"pp", &[b'a'; 249]), Err(KeyError::TooLong(251)));
        assert_eq!(wire(&key(b"", &[0; 186]).unwrap()).len(), 248);
        assert_eq!(key(b"", &[0; 187]), Err(KeyError::TooLong(252)));
    }

    #[test]
    fn a_greeting_is_a_key_whatever_the_prefix() {
        for len in [0, 1, 142, 143, 144, 186, 187, 249] {
            let key = Key::greeting(&vec![b'p'; len], u64::MAX);
            assert!(Key::new(b"", key.raw(), Vec::new()).is_ok_and(|same| same == key), "{len}");
        }
        assert_eq!(Key::greeting(b"p:", 1).raw(), b"p:ngx_http_memcache greeting 0000000000000001");
        for prefix in [&b""[..], b"p:", b"a b", b"\r\n", &[b'p'; 207], &[b'p'; 208], &[b'p'; 249]] {
            let key = Key::text_greeting(prefix, u64::MAX);
            assert!(Key::new(b"", key.raw(), Vec::new()).is_ok_and(|same| same == key && !same.is_binary()));
        }
    }

    #[test]
    fn r1_a_key_is_recognized_by_its_name_in_either_form() {
        for text in [&b"cow"[..], b"YSBi", &[b'a'; 250]] {
            let key = key(b"", text).unwrap();
            let encoded = STANDARD.encode(text).into_bytes();
            assert!(key.is_named(text, false) && key.is_named(&encoded, true));
            assert!(!key.is_named(&encoded, false), "that is another text key");
            assert!(!key.is_named(text, true), "that is what it decodes to");
            assert!(!key.is_named(b"", false) && !key.is_named(b"", true));
        }
        for raw in [&b"a b"[..], b"a\r\nHD O1", b"\0", b"\x7f\xff", &[b' '; 186]] {
            let key = key(b"", raw).unwrap();
            let encoded = STANDARD.encode(raw).into_bytes();
            for marked in [false, true] {
                assert!(key.is_named(raw, marked) && key.is_named(&encoded, marked));
                assert!(!key.is_named(&raw[1..], marked) && !key.is_named(&encoded[1..], marked));
            }
        }
    }

    #[test]
    fn memory_is_reused() {
        let spare = Vec::with_capacity(64);
        let at = spare.as_ptr();
        let k = Key::new(b"a", b"b", spare).unwrap();
        let spare = k.into_spare();
        assert_eq!(spare.as_ptr(), at);
    }
}
