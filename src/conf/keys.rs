//! The directives about keys.

#![forbid(unsafe_code)]

use bytes::Bytes;
use memcache_engine::{HashTag, KeyRules, LongKeys};

use super::argument::invalid_word;
use super::level::{take, At};
use crate::nginx::conf::{Conf, LineError};
use crate::worker::effect::Effect;

/// The longest `memcache_prefix`, in bytes. It leaves 50 of memcached's 250 bytes for keys.
const MAX_PREFIX: usize = 200;

/// Those of one level. `None` is not set.
#[derive(Clone, Default)]
pub struct KeySettings {
    /// `memcache_prefix`.
    pub prefix: Option<Bytes>,
    /// `memcache_hash_prefix`.
    pub hash_prefix: Option<At<bool>>,
    /// `memcache_hash_tag`; `Some(None)` is `off`.
    pub hash_tag: Option<Option<HashTag>>,
    /// `memcache_long_keys`.
    pub long_keys: Option<At<LongKeys>>,
}

impl KeySettings {
    /// Inherits the settings that this level does not have from the level around it.
    pub fn inherit(&mut self, outer: &KeySettings) {
        take(&mut self.prefix, &outer.prefix);
        take(&mut self.hash_prefix, &outer.hash_prefix);
        take(&mut self.hash_tag, &outer.hash_tag);
        take(&mut self.long_keys, &outer.long_keys);
    }

    /// Whether `memcache_hash_prefix off` has an effect.
    pub fn effect(&self) -> Option<Effect> {
        let off = self.hash_prefix.as_ref().filter(|on| !on.value)?;
        Some(Effect {
            is_there: self.prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()),
            why: "\"memcache_hash_prefix off\" has no effect without \"memcache_prefix\"".into(),
            position: off.position.clone(),
        })
    }

    /// The rules of a client. `Err`: settings contradict each other.
    pub fn rules(&self) -> Result<KeyRules, LineError> {
        let prefix = self.prefix.clone().unwrap_or_default();
        let most = KeyRules::max_prefix_of_long_keys(&prefix);
        let hashed = self.long_keys.as_ref().filter(|choice| choice.value == LongKeys::Hash);
        if let Some(line) = hashed.filter(|_| prefix.len() > most) {
            let text = format!(
                "\"memcache_long_keys hash\" needs 65 bytes of a key: \"memcache_prefix\" must not be longer than {most} bytes \
                 with it"
            );
            return Err(LineError::At(text, line.position.clone()));
        }
        let defaults = KeyRules::with_prefix(prefix);
        Ok(KeyRules {
            hash_prefix: self.hash_prefix.as_ref().map_or(defaults.hash_prefix, |on| on.value),
            hash_tag: self.hash_tag.unwrap_or(defaults.hash_tag),
            long_keys: self.long_keys.as_ref().map_or(defaults.long_keys, |choice| choice.value),
            prefix: defaults.prefix,
        })
    }
}

/// The argument of `memcache_prefix`.
pub fn prefix(line: &Conf<'_>) -> Result<Bytes, LineError> {
    let text = line.arg();
    if text.contains(&b'$') {
        return Err(LineError::Text("variables are not supported in \"memcache_prefix\"".into()));
    }
    if text.len() > MAX_PREFIX {
        return Err(LineError::Text(format!("\"memcache_prefix\" must not be longer than {MAX_PREFIX} bytes")));
    }
    Ok(Bytes::copy_from_slice(text))
}

/// The argument of `memcache_hash_tag`.
pub fn hash_tag(line: &Conf<'_>) -> Result<Option<HashTag>, LineError> {
    match *line.arg() {
        [open, close] if line.arg() != b"on" => Ok(Some(HashTag { open, close })),
        [b'o', b'f', b'f'] => Ok(None),
        _ => Err(LineError::Text(format!(
            "invalid value \"{}\" in \"memcache_hash_tag\" directive, it must be two characters such as \"{{}}\", or \"off\"",
            line.arg().escape_ascii()
        ))),
    }
}

/// The argument of `memcache_long_keys`.
pub fn long_keys(line: &Conf<'_>) -> Result<At<LongKeys>, LineError> {
    let choice = LongKeys::parse(line.arg()).ok_or_else(|| invalid_word(line, &LongKeys::ALL.map(LongKeys::name)))?;
    Ok(At { value: choice, position: line.position() })
}
