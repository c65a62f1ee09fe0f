//! The order of operations on one key.
//!
//! What is promised is in the documentation of [`Client`](crate::Client): behind each write of its key without an answer an operation
//! goes to the connection that this is on, or into the queue. Written in order on two connections would not be carried
//! out in order.
//!
//! Where that connection has too much to do already, the operation is refused, also when it is its turn in the queue: it
//! would keep all those behind it waiting, and who is let pass has to be remembered, by key. So nothing ever passes in the
//! queue, and what is in it waits for nothing but room on any connection.
//!
//! Nothing is looked up for a read unless a write is pending and the server has several connections; a key that is
//! written to all the time stays on its connection, until there is a moment without, or the connection is given up.

use super::state::Client;
use crate::config::Config;
use crate::id::{CallId, ConnId, ServerId};
use crate::limits::PIPELINE_BOUND;
use crate::operation::key::Key;
use crate::server::Server;

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
        self.network.connections.get(conn).filter(|c| !c.leaving).map(|c| (conn, c.load()))
    }
}
