//! The choice of a connection for an operation.

use super::state::Server;
use crate::connection::{Connection, Phase};
use crate::id::ConnId;
use crate::network::Connections;

/// While a connection is swamped, at least this many carry large values.
const SHARE_WITH_SWAMPED: usize = 2;

impl Server {
    /// The connection for an operation; `None`: the operation has to wait. `bulk`: the bytes of its large value, 0 if
    /// it has none.
    #[inline(always)]
    pub(super) fn pick(&self, connections: &Connections, bulk: u32) -> Option<ConnId> {
        if self.addresses.is_moving() {
            return None;
        }
        if bulk > 0 {
            let (conn, connection) = self.least_loaded(connections)?;
            return self.pick_bulky(connections, conn, connection);
        }
        // It has room, and no large value is under way on it.
        if let Some((conn, _)) = self.used_this_turn(connections) {
            return Some(conn);
        }
        let (conn, connection) = self.least_burdened(connections)?;
        if connection.load() >= self.settings.pipeline_bound() {
            return None;
        }
        // Behind a large value, the operation would take as long as the value. It waits for another connection if the
        // server can have one and the operation may wait.
        if connection.is_bulky() && self.settings.queue > 0 && self.may_have_another() {
            return None;
        }
        Some(conn)
    }

    /// The same for an operation that leaves the least loaded connection to other modules, whose operations would
    /// otherwise wait behind as many as a pipeline has. With so few pending replies as one connection takes before another
    /// is opened, that does not matter. With a large value it goes where all such go.
    pub(super) fn pick_sparing(&self, connections: &Connections, bulk: u32) -> Option<ConnId> {
        if bulk > 0 || !self.lets_wait() || !self.is_loaded(connections) {
            return self.pick(connections, bulk);
        }
        if self.addresses.is_moving() {
            return None;
        }
        let (spared, _) = self.least_burdened(connections)?;
        if let Some((conn, _)) = self.used_this_turn(connections).filter(|&(conn, _)| conn != spared) {
            return Some(conn);
        }
        let (conn, connection) = self.least_burdened_but(connections, Some(spared))?;
        let has_room = connection.load() < self.settings.pipeline_bound();
        let is_slow = connection.is_bulky() && self.may_have_another();
        (has_room && !is_slow).then_some(conn)
    }

    /// Whether the server has as many pending replies as a connection takes before another is opened.
    fn is_loaded(&self, connections: &Connections) -> bool {
        let loads = self.connections.iter().filter_map(|&conn| usable(connections, conn)).map(|(_, c)| c.load());
        loads.fold(0, usize::saturating_add) >= self.settings.pipeline
    }

    /// The least loaded connection for operations that leave one to others, if there are such.
    pub(super) fn least_loaded_but_one<'a>(&self, connections: &'a Connections) -> Option<(ConnId, &'a Connection)> {
        if !self.lets_wait() || !self.is_loaded(connections) {
            return self.least_loaded(connections);
        }
        let (spared, _) = self.least_burdened(connections)?;
        self.least_burdened_but(connections, Some(spared))
    }

    /// The connection for an operation that goes [alone](crate::operation::request::ServerVerb::is_alone): one without a
    /// pending reply. If there is none, it waits, and so do those behind it: so there is one soon, even without another
    /// connection.
    pub(super) fn pick_alone(&self, connections: &Connections) -> Option<ConnId> {
        if self.addresses.is_moving() {
            return None;
        }
        let mut ready = self.connections.iter().filter_map(|&conn| usable(connections, conn));
        ready.find(|(_, c)| c.load() == 0).map(|(conn, _)| conn)
    }

    /// The connection for an operation with a large value. If no further connection is allowed, the one with the fewest
    /// large values is left to operations without, so that it is free of them soon.
    ///
    /// While one connection receives many values that were not expected to be large, [`SHARE_WITH_SWAMPED`] connections
    /// carry large ones. More would take bandwidth from it on a link that is full.
    fn pick_bulky(&self, connections: &Connections, best: ConnId, connection: &Connection) -> Option<ConnId> {
        let ready =
            || self.connections.iter().filter_map(|&conn| open(connections, conn)).filter(|(_, c)| !c.is_late());
        let bound = self.settings.pipeline_bound();
        let has_room = |&(_, c): &(ConnId, &Connection)| c.load() < bound;
        let least = |bulky: Vec<_>| bulky.into_iter().filter(has_room).min_by_key(|(_, c)| c.burden());
        if ready().any(|(_, c)| c.is_swamped()) {
            let bulky: Vec<_> = ready().filter(|(_, c)| c.is_bulky()).collect();
            if let Some((conn, _)) = Some(bulky).filter(|bulky| bulky.len() >= SHARE_WITH_SWAMPED).and_then(least) {
                return Some(conn);
            }
        }
        let may_have_another = self.may_have_another();
        if connection.is_bulky() && self.settings.queue > 0 && may_have_another {
            return None;
        }
        let (free, bulky): (Vec<_>, Vec<_>) =
            ready().filter(|&(conn, _)| conn != best).partition(|(_, c)| !c.is_bulky());
        let other = Some(bulky).filter(|_| free.is_empty() && !may_have_another).and_then(least);
        other.or(Some((best, connection)).filter(has_room)).map(|(conn, _)| conn)
    }

    /// The ready connection with the lightest burden. Of equal ones it is the one that was opened first, so that the
    /// others become idle and close.
    pub(super) fn least_loaded<'a>(&self, connections: &'a Connections) -> Option<(ConnId, &'a Connection)> {
        self.used_this_turn(connections).or_else(|| self.least_burdened(connections))
    }

    fn least_burdened<'a>(&self, connections: &'a Connections) -> Option<(ConnId, &'a Connection)> {
        self.least_burdened_but(connections, None)
    }

    #[inline(always)]
    fn least_burdened_but<'a>(
        &self,
        connections: &'a Connections,
        spared: Option<ConnId>,
    ) -> Option<(ConnId, &'a Connection)> {
        let bound = self.settings.pipeline_bound();
        let others = self.connections.iter().filter(|&&conn| Some(conn) != spared);
        let ready = others.filter_map(|&conn| open(connections, conn));
        ready.min_by_key(|(_, c)| (c.load() >= bound, c.burden()))
    }

    /// The operations of one turn of the event loop go to one connection while it has room. This saves writes and
    /// reads, which cost more than the operations' wait for each other.
    #[inline]
    fn used_this_turn<'a>(&self, connections: &'a Connections) -> Option<(ConnId, &'a Connection)> {
        let has_room =
            |c: &Connection| c.is_dirty() && c.load() < self.settings.pipeline && !c.is_bulky() && !c.is_late();
        open(connections, self.latest?).filter(|(_, c)| has_room(c))
    }

    /// Whether a connection is ready for operations.
    pub(super) fn has_ready(&self, connections: &Connections) -> bool {
        self.connections.iter().any(|&conn| usable(connections, conn).is_some())
    }
}

/// The connection, if it is ready for operations.
#[inline]
pub(super) fn usable(connections: &Connections, conn: ConnId) -> Option<(ConnId, &Connection)> {
    Some((conn, connections.get(conn).filter(|c| c.phase() == Phase::Ready)?))
}

/// The connection, if it is ready for operations, and none on it goes alone.
#[inline]
fn open(connections: &Connections, conn: ConnId) -> Option<(ConnId, &Connection)> {
    usable(connections, conn).filter(|(_, connection)| !connection.is_alone())
}
