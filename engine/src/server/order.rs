//! The order of operations on one key.
//!
//! The documentation of [`Client`](crate::Client) has the promise. An operation goes behind each write of its key that
//! has no answer: to the connection of that write, or into the queue. Two connections would not keep the order.
//!
//! If that connection has no room, the operation is refused, also when it is the next in the queue. It would keep all
//! operations behind it waiting, and letting them pass would need a record of keys. So no operation passes another in
//! its line of the queue, or a write of its key in any line, and those in the queue wait only for room on any connection. An operation that goes alone waits for a connection
//! without a pending reply, and all connections become such while it waits.
//!
//! A read looks its key up only if a write is pending and the server has several connections. A key that is written all
//! the time stays on its connection, until no write is pending, or the connection ends.

use super::state::Server;
use crate::id::{CallId, ConnId};
use crate::network::Connections;
use crate::operation::key::Key;

/// Where an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Onto this connection.
    Connection(ConnId),
    /// To no connection of its own: it shares the exchange of this group of gets.
    Group(CallId),
    /// Into the queue.
    Queue,
    /// It is refused: the connection that it has to go to has no room.
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
    /// The target of a new operation. `spares`: it leaves the least loaded connection to other modules.
    #[inline(always)]
    pub fn target(&self, connections: &Connections, key: Option<&Key>, bulk: u32, spares: bool) -> Target {
        // No operation passes the queue, which may hold one on the same key.
        if !self.queue.is_empty() {
            return Target::Queue;
        }
        self.target_within(connections, key, bulk, spares, 0)
    }

    /// The target of an operation that goes [alone](crate::operation::request::ServerVerb::is_alone). `is_next`: it is
    /// the next in the queue.
    pub fn target_alone(&self, connections: &Connections, is_next: bool) -> Target {
        if !is_next && !self.queue.is_empty() {
            return Target::Queue;
        }
        let conn = if self.lets_wait() { self.pick_alone(connections) } else { self.pick(connections, 0) };
        conn.map_or(Target::Queue, Target::Connection)
    }

    /// Whether operations may wait. If not, none goes alone: it would be refused on a server that is always busy.
    pub fn lets_wait(&self) -> bool {
        self.settings.queue > 0
    }

    /// The target of an accepted operation that is the next in the queue.
    pub fn target_of_next(&self, connections: &Connections, key: Option<&Key>, bulk: u32, spares: bool) -> Target {
        // It may exceed the bound by as much again, but no further.
        self.target_within(connections, key, bulk, spares, self.settings.queue)
    }

    /// `more`: by how much it may exceed the bound of [`most_behind`](Server::most_behind).
    #[inline(always)]
    fn target_within(
        &self,
        connections: &Connections,
        key: Option<&Key>,
        bulk: u32,
        spares: bool,
        more: usize,
    ) -> Target {
        if !self.writes.is_empty() {
            if let Some((conn, load)) = key.and_then(|key| self.conn_behind(connections, key)) {
                let most = self.most_behind().saturating_add(more);
                return if load < most { Target::Connection(conn) } else { Target::Nowhere };
            }
        }
        let conn = if spares { self.pick_sparing(connections, bulk) } else { self.pick(connections, bulk) };
        conn.map_or(Target::Queue, Target::Connection)
    }

    /// A connection with this many pending replies refuses the operations that have to go to it.
    fn most_behind(&self) -> usize {
        self.settings.pipeline_bound().saturating_add(self.settings.queue)
    }

    /// The connection with writes of this key, and its load. Its bound is [`most_behind`](Server::most_behind), which
    /// is higher than that of other operations: those behind in the queue must not wait for this one.
    fn conn_behind(&self, connections: &Connections, key: &Key) -> Option<(ConnId, usize)> {
        if self.connections.len() < 2 {
            return None;
        }
        let conn = self.writes.conn(key)?;
        connections.get(conn).filter(|c| !c.is_leaving()).map(|c| (conn, c.load()))
    }
}
