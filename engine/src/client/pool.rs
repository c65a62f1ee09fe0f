//! Which connection an operation goes to, and how many there are.

use std::collections::TryReserveError;
use std::time::Duration;

use super::call::Place;
use super::order::Target;
use super::state::Client;
use crate::connection::{Connection, Phase};
use crate::id::{CallId, ConnId, ServerId};
use crate::limits::PIPELINE_BOUND;
use crate::network::{Output, Timer};
use crate::operation::error::Error;
use crate::operation::request::Verb;
use crate::operation::work::Work;
use crate::protocol::expect::Expect;
use crate::server::Server;
use crate::shared::State;
use crate::time::Instant;

/// So many connections carry large values, at least, while one of them is swamped.
const SHARE_WITH_SWAMPED: usize = 2;

impl<T> Client<T> {
    /// The connection that an operation for the server goes to now; `None`: it has to wait.
    #[inline(always)]
    pub(super) fn pick(&self, id: ServerId, server: &Server, bulk: u32) -> Option<ConnId> {
        if server.at.is_moving() {
            return None;
        }
        if bulk > 0 {
            let (conn, connection) = self.least_loaded(server)?;
            return self.pick_bulky(id, server, conn, connection);
        }
        // It has room, and nothing large.
        if let Some((conn, _)) = self.begun(server) {
            return Some(conn);
        }
        let (conn, connection) = self.quietest(server)?;
        let bound = self.config.pipeline.saturating_mul(PIPELINE_BOUND);
        if connection.load() >= bound {
            return None;
        }
        // Behind a megabyte it would take as long as the megabyte; where another connection may be had, it waits for
        // that one, if it may wait at all.
        if connection.is_bulky() && self.config.queue > 0 && self.may_have_another(id, server) {
            return None;
        }
        Some(conn)
    }

    /// The same for an operation with a large value. Where several connections are all that there may be, the one with the
    /// fewest large values is left to those without, so that it is soon free of them, whatever is under way by then.
    ///
    /// While many values come on one connection that were not expected to be large, [`SHARE_WITH_SWAMPED`] connections are
    /// enough for large ones: each more would take from that one's share of a link that is full.
    fn pick_bulky(&self, id: ServerId, server: &Server, best: ConnId, connection: &Connection) -> Option<ConnId> {
        let ready = || server.connections.iter().filter_map(|&conn| self.usable(conn)).filter(|(_, c)| !c.late);
        let bound = self.config.pipeline.saturating_mul(PIPELINE_BOUND);
        let has_room = |&(_, c): &(ConnId, &Connection)| c.load() < bound;
        let least = |bulky: Vec<_>| bulky.into_iter().filter(has_room).min_by_key(|(_, c)| c.burden());
        if ready().any(|(_, c)| c.is_swamped()) {
            let bulky: Vec<_> = ready().filter(|(_, c)| c.is_bulky()).collect();
            if let Some((conn, _)) = Some(bulky).filter(|bulky| bulky.len() >= SHARE_WITH_SWAMPED).and_then(least) {
                return Some(conn);
            }
        }
        let may_have_another = self.may_have_another(id, server);
        if connection.is_bulky() && self.config.queue > 0 && may_have_another {
            return None;
        }
        let (free, bulky): (Vec<_>, Vec<_>) =
            ready().filter(|&(conn, _)| conn != best).partition(|(_, c)| !c.is_bulky());
        let other = Some(bulky).filter(|_| free.is_empty() && !may_have_another).and_then(least);
        other.or(Some((best, connection)).filter(has_room)).map(|(conn, _)| conn)
    }

    /// Whether there will be, or may be, another connection.
    fn may_have_another(&self, id: ServerId, server: &Server) -> bool {
        server.connecting > 0 || self.may_grow(id, server)
    }

    /// Among the ready ones, in the order in which they were opened, so that the others become idle and close.
    pub(super) fn least_loaded<'a>(&'a self, server: &Server) -> Option<(ConnId, &'a Connection)> {
        self.begun(server).or_else(|| self.quietest(server))
    }

    fn quietest<'a>(&'a self, server: &Server) -> Option<(ConnId, &'a Connection)> {
        let bound = self.config.pipeline.saturating_mul(PIPELINE_BOUND);
        let ready = server.connections.iter().filter_map(|&conn| self.usable(conn));
        ready.min_by_key(|(_, c)| (c.load() >= bound, c.burden()))
    }

    /// What one turn of the event loop submits goes to one connection, as long as it has room: a write and a read of their
    /// own would cost more than it costs to wait for each other.
    #[inline]
    fn begun<'a>(&'a self, server: &Server) -> Option<(ConnId, &'a Connection)> {
        let begun = |c: &Connection| c.dirty && c.load() < self.config.pipeline && !c.is_bulky() && !c.late;
        self.usable(server.latest?).filter(|(_, c)| begun(c))
    }

    #[inline]
    fn usable(&self, conn: ConnId) -> Option<(ConnId, &Connection)> {
        Some((conn, self.network.connections.get(conn).filter(|c| c.phase == Phase::Ready)?))
    }

    /// Whether it may have another connection, next to those that are leaving.
    fn has_room(&self, id: ServerId, server: &Server) -> bool {
        let max = self.config.servers.get(id).map_or(0, |config| config.pool.max());
        server.connections.len().saturating_add(server.at.leaving()) < max as usize
    }

    fn may_grow(&self, id: ServerId, server: &Server) -> bool {
        server.health.state() == State::Live && self.has_room(id, server)
    }

    /// Puts an operation on the connection, or in the queue. Returns whether the connection has room for more after it: it
    /// was the least loaded one, so that no other is needed then.
    pub(super) fn place(&mut self, id: CallId, server: ServerId, target: Option<ConnId>, bulk: u32) -> bool {
        let Some(call) = self.calls.get_mut(id) else { return true };
        if let Some((conn, connection)) = target.and_then(|conn| Some((conn, self.network.connections.get_mut(conn)?)))
        {
            let (expect, is_write) =
                call.work().map_or((Expect::Nothing, false), |work| (Expect::from(work), work.is_write()));
            call.place = Place::Sent(conn, connection.push(id, expect, call.key.as_ref(), bulk));
            if let Some(server) = self.servers.get_mut(server) {
                server.latest = Some(conn);
                if is_write {
                    if let (Some(key), Some(Work::Keyed(Verb::Store { value, .. }))) = (&call.key, call.work()) {
                        self.large_items.note(key, value.len());
                    }
                    call.hold = call.key.as_ref().map(|key| server.writes.hold(key, conn));
                }
            }
            self.writes.mark(conn, connection);
            return !connection.is_bulky() && !connection.late && connection.load() < self.config.pipeline;
        }
        call.place = Place::Queued;
        if let Some(server) = self.servers.get_mut(server) {
            let calls = &self.calls;
            server.queue.push(id, |id| calls.get(id).is_some_and(|call| call.place == Place::Queued));
        }
        false
    }

    /// Makes sure that what grows with the number of operations, which may come to megabytes, has room for one more:
    /// that there is none is an error then, and not the end of the process.
    pub(super) fn make_room(
        &mut self,
        id: ServerId,
        group: Option<CallId>,
        target: Option<ConnId>,
    ) -> Result<(), TryReserveError> {
        self.make_room_for_one()?;
        self.network.timers.try_reserve()?;
        if self.config.coalesce {
            self.exchanges.try_reserve()?;
        }
        if let Some(name) = group {
            return self.exchanges.try_reserve_in(name, self.late(name));
        }
        match target.and_then(|conn| self.network.connections.get_mut(conn)) {
            Some(connection) => connection.try_reserve(),
            None => self.servers.get_mut(id).map_or(Ok(()), |server| server.queue.try_reserve()),
        }
    }

    /// The same for an operation as such, wherever it goes.
    pub(super) fn make_room_for_one(&mut self) -> Result<(), TryReserveError> {
        self.calls.try_reserve(1)?;
        // All operations may complete at once.
        let most = self.calls.len().saturating_add(1);
        self.completions.try_reserve(most.saturating_sub(self.completions.len()))
    }

    /// Puts waiting operations on connections that have room, in their order.
    pub(super) fn pump(&mut self, id: ServerId, now: Instant) {
        loop {
            let calls = &self.calls;
            let waits = |id| calls.get(id).is_some_and(|call| call.place == Place::Queued);
            let Some(call) = self.servers.get_mut(id).and_then(|server| server.queue.next(waits)) else { break };
            let bulk = self.bulk_of(call);
            let target = self.target_of(id, call, bulk);
            if target == Target::Queue {
                break;
            }
            if let Some(server) = self.servers.get_mut(id) {
                server.queue.pop();
            }
            self.put(call, id, target, bulk, now);
        }
        self.grow(id, now);
    }

    /// Puts an operation where it may go now: on a connection, or behind what waits.
    pub(super) fn dispatch(&mut self, call: CallId, id: ServerId, now: Instant) {
        let bulk = self.bulk_of(call);
        let waits = self.servers.get(id).is_some_and(|server| !server.queue.is_empty());
        let target = if waits { Target::Queue } else { self.target_of(id, call, bulk) };
        if !self.put(call, id, target, bulk, now) {
            self.pump(id, now);
        }
    }

    /// The same as [`place`](Client::place), but where there is no room for the operation it ends.
    fn put(&mut self, call: CallId, id: ServerId, target: Target, bulk: u32, now: Instant) -> bool {
        if target != Target::Nowhere {
            return self.place(call, id, target.connection(), bulk);
        }
        if let Some(server) = self.servers.get(id) {
            server.counters.stats.limits.pipeline.bump();
        }
        self.complete(call, Err(Error::Busy), now);
        true
    }

    /// Opens another connection if those that there are do not do.
    pub(super) fn grow(&mut self, id: ServerId, now: Instant) {
        let queued = self.servers.get(id).map_or(0, |server| server.queue.len());
        self.grow_for(id, queued, now);
    }

    /// The same for so many operations that have no connection.
    pub(super) fn grow_for(&mut self, id: ServerId, queued: usize, now: Instant) {
        let pipeline = self.config.pipeline;
        let Some(server) = self.servers.get(id).filter(|server| self.may_grow(id, server)) else { return };
        let wanted = match self.least_loaded(server) {
            Some((_, best)) if !best.is_bulky() && !best.late && best.load() < pipeline => return,
            // All are full, or late. One more, unless it is on its way.
            Some(_) => server.connecting == 0,
            None => server.connecting == 0 && queued > 0,
        };
        // As many as the queue would fill.
        let wanted = wanted || server.connecting.saturating_mul(pipeline) < queued;
        if !wanted {
            return;
        }
        let retry_at = server.health.retry_at();
        if retry_at > now {
            return self.maintain_at(id, retry_at);
        }
        // Others may have found out meanwhile that it is of no use.
        self.learn(id, now);
        if self.servers.get(id).is_some_and(Server::is_live) {
            self.open(id, now);
        }
    }

    /// Opens a connection, unless there were too many connects just now: then later. True if it did.
    pub(super) fn open(&mut self, id: ServerId, now: Instant) -> bool {
        let token = self.network.rng.u32(..);
        let address = self.address_for(id);
        if !self.servers.get(id).is_some_and(|server| self.has_room(id, server)) {
            return false;
        }
        let Some(server) = self.servers.get_mut(id) else { return false };
        if let Err(at) = server.connects.take(now) {
            if server.due.is_none_or(|due| at < due) {
                server.counters.stats.limits.connects.bump();
            }
            self.maintain_at(id, at);
            return false;
        }
        let mut connection = Connection::new(id, token, self.network.spare_values.clone(), server.waste.clone(), now);
        connection.address = address;
        let conn = self.network.connections.insert(connection);
        server.connections.push(conn);
        server.connecting = server.connecting.saturating_add(1);
        server.touched = true;
        self.network.outputs.push_back(Output::Open { conn, server: id, address });
        self.network.timers.insert(now.after(self.config.connect_timeout), Timer::Connect(conn));
        true
    }

    /// Probes a server that is down, keeps `min` connections, closes idle ones above `smax`, and says when to look
    /// again.
    pub(super) fn maintain(&mut self, id: ServerId, now: Instant) {
        self.learn(id, now);
        let Some((server, config)) = self.servers.get(id).zip(self.config.servers.get(id)) else { return };
        let (min, smax, ttl) = (config.pool.min() as usize, config.pool.smax() as usize, config.pool.ttl());
        if self.network.draining {
            return self.pump(id, now);
        }
        let missing = match server.health.state() {
            // One connection, to see whether it answers; where there is no room for it, one that ends will make some.
            State::Down if server.connections.len() < config.pool.max() as usize => {
                1usize.saturating_sub(server.connecting)
            }
            State::Down | State::Disabled => 0,
            State::Live => min.saturating_sub(server.connections.len()),
        };
        if missing > 0 {
            match self.may_connect(id, now) {
                Err(later) => self.maintain_at(id, later),
                Ok(()) => drop((0..missing).all(|_| self.open(id, now))),
            }
        }
        if ttl > 0 {
            self.expire(id, min, smax, Duration::from_secs(u64::from(ttl)), now);
        }
        self.look(id, now);
        self.pump(id, now);
    }

    /// Closes connections that have been idle for `ttl`, the longest idle first, as long as more than `smax` are.
    fn expire(&mut self, id: ServerId, min: usize, smax: usize, ttl: Duration, now: Instant) {
        let Some(server) = self.servers.get(id) else { return };
        let idle = server.connections.iter().filter_map(|&conn| {
            let connection = self.network.connections.get(conn).filter(|c| c.is_idle())?;
            Some((connection.idle_since, conn))
        });
        let mut idle: Vec<_> = idle.collect();
        idle.sort_unstable();
        let spare = idle.len().saturating_sub(smax).min(server.connections.len().saturating_sub(min));
        for &(since, conn) in idle.iter().take(spare) {
            let at = since.after(ttl);
            if at > now {
                return self.maintain_at(id, at);
            }
            self.close_connection(conn);
        }
    }

    /// Asks for maintenance of the server at this time, or earlier.
    pub(super) fn maintain_at(&mut self, id: ServerId, at: Instant) {
        let Some(server) = self.servers.get_mut(id) else { return };
        if server.due.is_none_or(|due| at < due) {
            server.due = Some(at);
            self.network.timers.insert(at, Timer::Server(id));
        }
    }

    /// Closes a connection on which nothing is under way.
    pub(super) fn close_connection(&mut self, conn: ConnId) {
        let Some(connection) = self.network.connections.remove(conn) else { return };
        self.detach(conn, &connection);
        self.network.outputs.push_back(Output::Close { conn });
    }

    /// Closes the server's connections on which nothing is under way.
    pub(super) fn close_idle(&mut self, id: ServerId) {
        let Some(server) = self.servers.get(id) else { return };
        let idle = |conn: &&ConnId| self.network.connections.get(**conn).is_some_and(Connection::is_idle);
        let idle: Vec<_> = server.connections.iter().filter(idle).copied().collect();
        idle.into_iter().for_each(|conn| self.close_connection(conn));
    }

    /// Takes a connection out of its server's list.
    pub(super) fn detach(&mut self, conn: ConnId, connection: &Connection) {
        let Some(server) = self.servers.get_mut(connection.server) else { return };
        server.connections.retain(|&other| other != conn);
        if connection.leaving {
            return server.at.left();
        }
        server.touched = true;
        if connection.phase != Phase::Ready {
            server.connecting = server.connecting.saturating_sub(1);
        }
    }
}
