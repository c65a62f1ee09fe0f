//! The order of operations on one key.
//!
//! What is promised is in the documentation of [`Client`]: behind each write of its key without an answer an operation
//! goes to the connection that this is on, or into the queue. Written in order on two connections would not be carried
//! out in order.
//!
//! Where that connection has too much to do already, the operation is refused, also when it is its turn in the queue: it
//! would keep all those behind it waiting, and who is let pass has to be remembered, by key. So nothing ever passes in the
//! queue, and what is in it waits for nothing but room on any connection.
//!
//! Nothing is looked up for a read unless a write is pending and the server has several connections; a key that is
//! written to all the time stays on its connection, until there is a moment without, or the connection is given up.

use std::collections::{HashMap, TryReserveError};

use super::{Client, Server};
use crate::config::Config;
use crate::id::{CallId, ConnId, ServerId};
use crate::limits::PIPELINE_BOUND;
use crate::operation::key::Key;

/// Writes that are on a connection without an answer, by the hashes of their keys. Two keys with one hash are taken for
/// one key, which does no harm.
#[derive(Debug, Default)]
pub(super) struct Writes(HashMap<u32, Held>);

/// Writes of one key.
#[derive(Debug)]
struct Held {
    /// Invariant: all of them are on this connection.
    conn: ConnId,
    writes: u32,
}

/// A write that is counted in [`Writes`]: by this hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold(u32);

impl Writes {
    pub fn try_reserve(&mut self) -> Result<(), TryReserveError> {
        self.0.try_reserve(1)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The write is on this connection: those that come later must not pass it.
    pub fn hold(&mut self, key: &Key, conn: ConnId) -> Hold {
        let hash = hash(key);
        let held = self.0.entry(hash).or_insert(Held { conn, writes: 0 });
        held.conn = conn;
        held.writes = held.writes.saturating_add(1);
        Hold(hash)
    }

    /// It has its answer, or will get none.
    pub fn release(&mut self, hold: Hold) {
        let Hold(hash) = hold;
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
    fn conn(&self, key: &Key) -> Option<ConnId> {
        self.0.get(&hash(key)).map(|held| held.conn)
    }
}

fn hash(key: &Key) -> u32 {
    crc32fast::hash(key.raw())
}

/// So many replies may be awaited on a connection before those that have to go to it are refused.
fn most_behind(config: &Config) -> usize {
    config.pipeline.saturating_mul(PIPELINE_BOUND).saturating_add(config.queue)
}

/// Where an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Connection(ConnId),
    /// It has to wait.
    Queue,
    /// It has to go where there is no room for it.
    Nowhere,
}

impl Target {
    pub fn connection(self) -> Option<ConnId> {
        match self {
            Target::Connection(conn) => Some(conn),
            Target::Queue | Target::Nowhere => None,
        }
    }
}

impl<T> Client<T> {
    /// Where a new operation goes.
    #[inline(always)]
    pub(super) fn target(&self, id: ServerId, key: Option<&Key>, bulk: u32) -> Target {
        let Some(server) = self.servers.get(id) else { return Target::Queue };
        // Nothing passes the queue: what is in it may be for the same key, or has waited for longer.
        if !server.queue.is_empty() {
            return Target::Queue;
        }
        self.target_within(id, server, key, bulk, most_behind(&self.config))
    }

    /// Where one goes that was accepted and is the next.
    pub(super) fn target_of(&self, id: ServerId, call: CallId, bulk: u32) -> Target {
        let Some((server, call)) = self.servers.get(id).zip(self.calls.get(call)) else { return Target::Queue };
        // It may pass the bound once more, and not without end.
        let most = most_behind(&self.config).saturating_add(self.config.queue);
        self.target_within(id, server, call.key.as_ref(), bulk, most)
    }

    #[inline(always)]
    fn target_within(&self, id: ServerId, server: &Server, key: Option<&Key>, bulk: u32, most: usize) -> Target {
        if !server.writes.is_empty() {
            if let Some((conn, load)) = key.and_then(|key| self.conn_behind(server, key)) {
                return if load < most { Target::Connection(conn) } else { Target::Nowhere };
            }
        }
        self.pick(id, server, bulk).map_or(Target::Queue, Target::Connection)
    }

    /// The connection with writes of this key, and its load. It may go there when others may not any more: those behind it
    /// in the queue must not wait for that. See also [`most_behind`].
    fn conn_behind(&self, server: &Server, key: &Key) -> Option<(ConnId, usize)> {
        if server.connections.len() < 2 {
            return None;
        }
        let conn = server.writes.conn(key)?;
        self.connections.get(conn).filter(|c| !c.leaving).map(|c| (conn, c.load()))
    }
}
