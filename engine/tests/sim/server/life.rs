//! How long items live: on a backup server no longer than it is configured, and elsewhere as long as callers say.
//!
//! Nothing expires here. Callers store for ever, and their touches carry numbers; see [`BACKUP_TTL`].

use bytes::Bytes;
use memcache_engine::Instant;

use super::{Server, LIVES};
use crate::checks::{Ledger, Version};
use crate::command::Command;

/// What `memcache_backup_ttl` is: a life that no operation asks for. The numbers of operations, which touches carry, are smaller.
pub const BACKUP_TTL: u64 = LIVES - 1;

impl Server {
    /// Whether the life in a request is the one that backup servers have instead of a longer one.
    pub(super) fn is_cut(&self, life: u64) -> bool {
        self.backup && life == BACKUP_TTL
    }

    /// Checks the life that a request sets, if it sets one.
    pub(super) fn check_life(&self, command: &Command) {
        let keeps = matches!(command.flag('M'), Some("A" | "P"));
        let of_item = match command.word {
            "ms" if !keeps => Some(command.number('T').unwrap_or(0)),
            "mg" | "md" => command.number('T'),
            _ => None,
        };
        for life in [of_item, command.number('N')].into_iter().flatten() {
            let (word, backup) = (command.word, self.backup);
            match backup {
                true => assert!((1..=BACKUP_TTL).contains(&life), "{word}: {life} seconds on a backup server"),
                false => assert_ne!(life, BACKUP_TTL, "{word}: so short a life elsewhere"),
            }
        }
    }

    /// The item is there from now on.
    pub(super) fn put(&mut self, key: &[u8], value: Bytes, flags: u32, ledger: &mut Ledger, now: Instant) {
        self.versions += 1;
        let version = Version { cas: self.versions, flags, value, stale: false };
        self.vacant.remove(key);
        self.made.remove(key);
        ledger.changed(self.id, key, Some(version.clone()), now);
        self.items.insert(key.to_vec(), version);
    }
}
