//! How operations get to connections and queues.

use std::collections::TryReserveError;

use super::call::{NewCall, Stage};
use super::state::Client;
use crate::connection::Connection;
use crate::id::{CallId, ConnId, ServerId};
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::module::ModuleId;
use crate::operation::request::Verb;
use crate::operation::work::Work;
use crate::protocol::expect::Expect;
use crate::server::{Lines, Server, Target};
use crate::time::Instant;

impl<T> Client<T> {
    /// Puts an operation on a connection, or in the queue.
    pub(super) fn dispatch(&mut self, call: CallId, id: ServerId, now: Instant) {
        let bulk = self.bulk_of(call);
        let waits = self.has_waiting(id);
        let target = if waits { Target::Queue } else { self.target_of_next(id, call, bulk, self.spares(call, now)) };
        if !self.put(call, id, target, bulk, now) {
            self.pump(id, now);
        }
    }

    /// Puts waiting operations on connections that have room, in order. Only those that leave a connection to other
    /// modules are passed by these.
    pub(super) fn pump(&mut self, id: ServerId, now: Instant) {
        let mut passed = Lines::default();
        loop {
            let calls = &self.calls;
            let waits = |id| calls.get(id).is_some_and(|call| call.stage == Stage::Queued);
            let next = self.servers.get_mut(id).and_then(|server| server.next_waiting(passed, waits));
            let Some((call, line)) = next else { break };
            let bulk = self.bulk_of(call);
            let line = line.filter(|_| self.spares(call, now));
            let target = self.target_of_next(id, call, bulk, line.is_some());
            match line {
                Some(line) if target == Target::Queue => {
                    passed.add(line);
                    continue;
                }
                None if target == Target::Queue => break,
                _ => {}
            }
            let module = self.calls.get(call).map_or(ModuleId::UNTAGGED, |call| call.module);
            if let Some(server) = self.servers.get_mut(id) {
                server.dequeue(module);
            }
            self.put(call, id, target, bulk, now);
        }
        self.grow(id, now);
    }

    /// Bytes of an operation's large value, 0 if it has none.
    pub(super) fn bulk_of(&self, call: CallId) -> u32 {
        let call = self.calls.get(call);
        call.and_then(|call| Some(self.large_items.bulk(call.key.as_ref(), call.work()?))).unwrap_or(0)
    }

    /// Whether operations wait for the server.
    #[inline]
    pub(super) fn has_waiting(&self, id: ServerId) -> bool {
        self.servers.get(id).is_some_and(Server::has_waiting)
    }

    /// The target of a new operation, as its server chooses it.
    #[inline(always)]
    pub(super) fn target(&self, id: ServerId, key: Option<&Key>, bulk: u32, spares: bool) -> Target {
        let Some(server) = self.servers.get(id) else { return Target::Queue };
        server.target(&self.network.connections, key, bulk, spares)
    }

    /// The same for one that goes alone.
    #[cold]
    pub(super) fn target_alone(&self, id: ServerId) -> Target {
        let Some(server) = self.servers.get(id) else { return Target::Queue };
        server.target_alone(&self.network.connections, false)
    }

    /// The target of an accepted operation that is the next in the queue.
    fn target_of_next(&self, id: ServerId, call: CallId, bulk: u32, spares: bool) -> Target {
        let Some((server, call)) = self.servers.get(id).zip(self.calls.get(call)) else { return Target::Queue };
        if call.work().is_some_and(Work::is_alone) {
            return server.target_alone(&self.network.connections, true);
        }
        server.target_of_next(&self.network.connections, call.key.as_ref(), bulk, spares)
    }

    /// The same as [`place`](Client::place). Without room for it, the operation ends.
    fn put(&mut self, call: CallId, id: ServerId, target: Target, bulk: u32, now: Instant) -> bool {
        if target != Target::Nowhere {
            return self.place(call, id, target.connection(), bulk, now);
        }
        if let Some(server) = self.servers.get(id) {
            server.pipeline_full();
        }
        self.complete(call, Err(Error::Busy), now);
        true
    }

    /// Puts an operation on the connection, or in the queue. Returns whether the connection has room for more. It was
    /// the least loaded one, so no other is needed then. An operation that the server does not support ends here, before
    /// a byte is sent.
    pub(super) fn place(
        &mut self,
        id: CallId,
        server: ServerId,
        target: Option<ConnId>,
        bulk: u32,
        now: Instant,
    ) -> bool {
        let Some(call) = self.calls.get_mut(id) else { return true };
        if let Some((conn, connection)) = target.and_then(|conn| Some((conn, self.network.connections.get_mut(conn)?)))
        {
            let work = call.work();
            let (expect, is_write, is_alone) = work
                .map_or((Expect::Nothing, false, false), |work| (Expect::from(work), work.is_write(), work.is_alone()));
            let version = connection.version();
            // An operation that waited may have been accepted before the dialect was known, or for another server.
            let refused = work.filter(|work| !connection.dialect().supports(call.key.as_ref(), work, || version));
            if let Some(work) = refused {
                let error = connection.dialect().refusal(&self.servers.name(server), call.key.as_ref(), work);
                self.complete(id, Err(error), now);
                return true;
            }
            call.stage = Stage::Sent(conn, connection.push(id, expect, call.key.as_ref(), bulk));
            if let Some(server) = self.servers.get_mut(server) {
                server.sent(conn);
                server.release(call.hold.take());
                if is_alone && server.lets_wait() {
                    connection.set_alone();
                }
                if is_write {
                    if let (Some(key), Some(Work::Keyed(Verb::Store { value, .. }))) = (&call.key, call.work()) {
                        self.large_items.note(key, value.len());
                    }
                    call.hold = call.key.as_ref().map(|key| server.hold(key, conn));
                }
            }
            self.network.writes.mark(conn, connection);
            return !connection.is_bulky() && !connection.is_late() && connection.load() < self.config.pipeline;
        }
        call.stage = Stage::Queued;
        let refused = self.servers.get(server).and_then(|known| {
            let work = call.work().filter(|work| !known.supports(call.key.as_ref(), work))?;
            Some(known.cannot(&self.servers.name(server), call.key.as_ref(), work))
        });
        if let Some(error) = refused {
            self.complete(id, Err(error), now);
            return true;
        }
        if let Some(known) = self.servers.get_mut(server) {
            let calls = &self.calls;
            let waits = |id| calls.get(id).is_some_and(|call| call.stage == Stage::Queued);
            let held = calls
                .get(id)
                .and_then(|call| known.enqueue(id, call.module, call.key.as_ref(), call.is_write(), waits));
            if let Some(call) = self.calls.get_mut(id) {
                call.hold = held;
            }
        }
        false
    }

    /// Reserves memory for one more operation in the structures that grow with the number of operations, which may take
    /// megabytes. Without memory, the operation is refused, and the process goes on.
    pub(super) fn make_room(&mut self, new: &NewCall, target: Target) -> Result<(), TryReserveError> {
        self.make_room_for_one()?;
        self.network.timers.try_reserve()?;
        if self.config.coalesce {
            self.exchanges.try_reserve()?;
        }
        match target {
            Target::Group(name) => self.exchanges.try_reserve_in(name, self.late(name)),
            Target::Connection(conn) => self.network.connections.get_mut(conn).map_or(Ok(()), Connection::try_reserve),
            Target::Queue | Target::Nowhere => {
                let server = self.servers.get_mut(new.server);
                server.map_or(Ok(()), |server| server.reserve_queue(new.module, new.key.as_ref()))
            }
        }
    }

    /// Reserves memory for one more operation, apart from its server's.
    pub(super) fn make_room_for_one(&mut self) -> Result<(), TryReserveError> {
        self.calls.try_reserve(1)?;
        // All operations may complete at once.
        let most = self.calls.len().saturating_add(1);
        self.completions.try_reserve(most.saturating_sub(self.completions.len()))
    }
}
