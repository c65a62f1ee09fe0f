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

use super::state::Server;
use crate::id::{CallId, ConnId};
use crate::network::Connections;
use crate::operation::key::Key;

/// Where an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Onto this connection.
    Connection(ConnId),
    /// Nowhere by itself: it shares the exchange of this group of gets.
    Group(CallId),
    /// Into the queue: it has to wait.
    Queue,
    /// It has to go where there is no room for it.
    Nowhere,
}

impl Target {
    pub fn connection(self) -> Option<ConnId> {
        match self {
            Target::Connection(conn) => Some(conn),
            Target::Group(_) | Target::Queue | Target::Nowhere => None,
        }
    }
}

impl Server {
    /// Where a new operation goes.
    #[inline(always)]
    pub fn target(&self, connections: &Connections, key: Option<&Key>, bulk: u32) -> Target {
        // Nothing passes the queue: what is in it may be for the same key, or has waited for longer.
        if !self.queue.is_empty() {
            return Target::Queue;
        }
        self.target_within(connections, key, bulk, 0)
    }

    /// Where one goes that was accepted and is the next.
    pub fn target_of_next(&self, connections: &Connections, key: Option<&Key>, bulk: u32) -> Target {
        // It may pass the bound once more, and not without end.
        self.target_within(connections, key, bulk, self.settings.queue)
    }

    /// `more`: by how much it may pass the bound of those that have to go to a connection.
    #[inline(always)]
    fn target_within(&self, connections: &Connections, key: Option<&Key>, bulk: u32, more: usize) -> Target {
        if !self.writes.is_empty() {
            if let Some((conn, load)) = key.and_then(|key| self.conn_behind(connections, key)) {
                let most = self.most_behind().saturating_add(more);
                return if load < most { Target::Connection(conn) } else { Target::Nowhere };
            }
        }
        self.pick(connections, bulk).map_or(Target::Queue, Target::Connection)
    }

    /// So many replies may be awaited on a connection before those that have to go to it are refused.
    fn most_behind(&self) -> usize {
        self.settings.pipeline_bound().saturating_add(self.settings.queue)
    }

    /// The connection with writes of this key, and its load. It may go there when others may not any more: those behind it
    /// in the queue must not wait for that. See also [`most_behind`](Server::most_behind).
    fn conn_behind(&self, connections: &Connections, key: &Key) -> Option<(ConnId, usize)> {
        if self.connections.len() < 2 {
            return None;
        }
        let conn = self.writes.conn(key)?;
        connections.get(conn).filter(|c| !c.leaving).map(|c| (conn, c.load()))
    }
}
