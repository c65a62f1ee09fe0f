//! Events on connections.

use std::io::IoSlice;

use bytes::BytesMut;

use super::call::{Call, Owner, Task};
use super::state::Client;
use crate::connection::{Connection, LostRequest, Phase};
use crate::id::ConnId;
use crate::network::{Cause, Loss, Output};
use crate::operation::module::ModuleId;
use crate::operation::work::Work;
use crate::protocol::dialect::Dialect;
use crate::protocol::greeting::TriedKeys;
use crate::protocol::outbound::Outbound;
use crate::server::Server;
use crate::time::Instant;

impl<T> Client<T> {
    /// The socket of an [`Output::Open`] is connected. The driver secures the connection before it calls
    /// [`connected`](Client::connected). That is a part of connecting.
    pub fn securing(&mut self, conn: ConnId) {
        if let Some(connection) = self.network.connections.get_mut(conn) {
            connection.set_securing();
        }
    }

    /// The socket of an [`Output::Open`] is connected.
    pub fn connected(&mut self, conn: ConnId, _now: Instant) {
        let keys = TriedKeys::new(&self.config.keys.prefix, self.network.rng.u64(..));
        let Some(connection) = self.network.connections.get_mut(conn) else { return };
        let Some(server) = self.servers.get(connection.server()) else { return };
        if connection.phase() != Phase::Connecting {
            return;
        }
        connection.greet(keys, self.config.credentials.clone(), server.known());
        self.network.writes.mark(conn, connection);
    }

    /// The buffer to read into. The driver appends received bytes and then calls [`received`](Client::received). The
    /// buffer has room for at least a byte; the client chooses its size. `None`: there is no such connection.
    pub fn read_buffer(&mut self, conn: ConnId) -> Option<&mut BytesMut> {
        let spare = &mut self.network.spare_buffers;
        Some(self.network.connections.get_mut(conn)?.read_buffer(|| spare.take()))
    }

    /// `bytes` were appended to the connection's [`read_buffer`](Client::read_buffer).
    pub fn received(&mut self, conn: ConnId, bytes: usize, now: Instant) {
        let Some(connection) = self.network.connections.get_mut(conn) else { return };
        let id = connection.server();
        if let Some(server) = self.servers.get_mut(id) {
            server.read(bytes);
        }
        match connection.phase() {
            Phase::Connecting | Phase::Greeting => self.greeted(conn, id, now),
            Phase::Ready => self.read_replies(conn, id, now),
        }
    }

    /// Fills `slices` with the bytes to write. Returns the number of slices used; 0: nothing. After
    /// [`written`](Client::written) there may be more.
    pub fn transmit<'a>(&'a mut self, conn: ConnId, slices: &mut [IoSlice<'a>]) -> usize {
        let Some(connection) = self.network.connections.get_mut(conn) else { return 0 };
        let calls = &self.calls;
        let longest_life = self.servers.get(connection.server()).and_then(Server::longest_life);
        let encode = |dialect: Dialect, call, token, out: &mut Outbound| {
            if let Some(Call { key, task: Task::Work(work), .. }) = calls.get(call) {
                match longest_life {
                    None => dialect.encode(out, key.as_ref(), work, token),
                    Some(secs) => dialect.encode(out, key.as_ref(), &work.living_at_most(secs), token),
                }
            }
        };
        let spare = &mut self.network.spare_buffers;
        connection.encode(encode, || spare.take());
        connection.slices(slices)
    }

    /// The socket accepted this many bytes of what [`transmit`](Client::transmit) gave. Returns whether there is more.
    pub fn written(&mut self, conn: ConnId, bytes: usize, now: Instant) -> bool {
        let Some(connection) = self.network.connections.get_mut(conn) else { return false };
        let id = connection.server();
        let Some(server) = self.servers.get_mut(id) else { return false };
        server.wrote(bytes);
        let calls = &mut self.calls;
        let was_bulky = connection.is_bulky();
        connection.wrote(bytes, now, |call| {
            // The value was written. Only the key is still needed.
            if let Some(call) = calls.get_mut(call) {
                if !call.retried && !matches!(call.owner, Owner::Internal) {
                    server.first_written(call.since, now);
                }
                server.release_backlog(call.take_load());
                if let Task::Work(Work::Keyed(verb)) = &mut call.task {
                    verb.release_value();
                }
            }
        });
        let more = connection.has_more();
        if was_bulky && server.has_waiting() {
            self.pump(id, now);
        }
        if self.network.draining {
            self.after_last_reply(conn, id, now);
        }
        // Operations that waited may be on this connection by now.
        more || self.network.connections.get(conn).is_some_and(Connection::has_more)
    }

    /// The driver lost the connection. Its socket is closed.
    pub fn closed(&mut self, conn: ConnId, loss: Loss, now: Instant) {
        let greeted = self.network.connections.get(conn).is_some_and(|c| c.phase() == Phase::Greeting);
        let cause = match loss {
            Loss::Eof | Loss::Error if greeted => Cause::HungUp,
            Loss::Handshake if greeted => Cause::TlsRefused,
            loss => Cause::Lost(loss),
        };
        self.fail(conn, cause, true, now);
    }

    /// Ends a connection. `gone`: the driver knows.
    pub(super) fn fail(&mut self, conn: ConnId, cause: Cause, gone: bool, now: Instant) {
        let Some(mut connection) = self.network.connections.remove(conn) else { return };
        let cause = match cause {
            Cause::HungUp | Cause::Unanswered(_) => {
                connection.unfinished_greeting(cause == Cause::HungUp).map_or(cause, Cause::Unfit)
            }
            cause => cause,
        };
        let id = connection.server();
        let Some(server) = self.servers.get_mut(id) else { return };
        let cause = match cause {
            // This is how it answers what it does not know.
            Cause::Lost(Loss::Eof | Loss::Error) if connection.is_alone() => Cause::Refused,
            cause => server.cause_for(cause),
        };
        if !gone {
            self.network.outputs.push_back(Output::Close { conn });
        }
        if server.trial_failed(conn, connection.address(), &mut self.network, now) {
            return;
        }
        let lost_requests: Vec<LostRequest> = connection.lost_requests().collect();
        let loss = (&cause, lost_requests.len());
        if server.connection_ended(conn, &connection, loss, &mut self.network, now) {
            self.went_down(id, now);
        }
        let again = lost_requests.into_iter().filter_map(|lost| self.retry_lost(lost, &cause, now));
        let again: Vec<_> = again.collect();
        let module = |call| self.calls.get(call).map_or(ModuleId::UNTAGGED, |call| call.module);
        let again = again.into_iter().map(|call| (call, module(call))).collect();
        if let Some(server) = self.servers.get_mut(id) {
            server.enqueue_first(again);
        }
        self.pump(id, now);
        if let Some(server) = self.servers.get_mut(id) {
            server.refill_later(&mut self.network, now);
        }
        self.forget_if_over(id, now);
    }
}
