//! Pending writes, which later operations on their keys must not pass.

use std::collections::{HashMap, TryReserveError};

use crate::id::ConnId;
use crate::operation::key::Key;

/// Writes on a connection without an answer, by the hash of their key. Two keys with one hash count as one key, which
/// is harmless.
#[derive(Debug, Default)]
pub(crate) struct PendingWrites(HashMap<u32, Held>);

/// The pending writes of one key.
#[derive(Debug)]
struct Held {
    /// Invariant: all of them are on this connection.
    conn: ConnId,
    writes: u32,
}

/// The mark of a write, by the hash of its key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hold {
    /// It is on a connection, and counted in [`PendingWrites`].
    Sent(u32),
    /// It is in a line of the queue, and counted there.
    Queued(u32),
}

impl PendingWrites {
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        self.0.try_reserve(1)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A write of this key was put on this connection: later operations on the key must not pass it.
    pub fn hold(&mut self, key: &Key, conn: ConnId) -> Hold {
        let hash = hash(key);
        let held = self.0.entry(hash).or_insert(Held { conn, writes: 0 });
        held.conn = conn;
        held.writes = held.writes.saturating_add(1);
        Hold::Sent(hash)
    }

    /// The write has its answer, or will get none.
    pub fn release(&mut self, hash: u32) {
        let Some(held) = self.0.get_mut(&hash) else { return };
        held.writes = held.writes.saturating_sub(1);
        if held.writes == 0 {
            self.0.remove(&hash);
        }
    }

    pub fn len(&self) -> usize {
        self.0.values().map(|held| held.writes as usize).sum()
    }

    /// The connection that an operation on this key has to go to.
    pub fn conn(&self, key: &Key) -> Option<ConnId> {
        self.0.get(&hash(key)).map(|held| held.conn)
    }
}

pub(super) fn hash(key: &Key) -> u32 {
    crc32fast::hash(key.raw())
}
