//! What happens on connections.

use std::io::IoSlice;

use bytes::BytesMut;

use super::call::{Call, Owner, Task};
use super::state::Client;
use crate::connection::{Connection, LostRequest, Phase};
use crate::id::{ConnId, ServerId};
use crate::network::{Cause, Loss, Output};
use crate::operation::key::Key;
use crate::operation::reply::Outcome;
use crate::operation::work::Work;
use crate::protocol::dialect::Dialect;
use crate::protocol::line::Malformed;
use crate::protocol::outbound::Outbound;
use crate::time::Instant;

/// Buffers that are kept for the next connection that reads or writes.
const SPARE_BUFFERS: usize = 4;
/// Larger ones are freed: a write buffer that has once held a burst is no read buffer.
const SPARE_CAPACITY: usize = 64 * 1024;

impl<T> Client<T> {
    /// The socket of an [`Output::Open`] is connected.
    pub fn connected(&mut self, conn: ConnId, _now: Instant) {
        let key = Key::greeting(&self.config.prefix, self.network.rng.u64(..));
        let Some(connection) = self.network.connections.get_mut(conn) else { return };
        if connection.phase != Phase::Connecting {
            return;
        }
        connection.greet(key);
        self.writes.mark(conn, connection);
    }

    /// Where to read into: the driver appends what it receives and then calls [`received`](Client::received). The
    /// buffer has room for at least a byte; how much is for the client to choose. `None`: there is no such connection.
    pub fn read_buffer(&mut self, conn: ConnId) -> Option<&mut BytesMut> {
        let spare = &mut self.spare_buffers;
        Some(self.network.connections.get_mut(conn)?.read_buffer(|| spare.pop()))
    }

    /// Bytes were appended to the connection's [`read_buffer`](Client::read_buffer): `bytes` of them.
    pub fn received(&mut self, conn: ConnId, bytes: usize, now: Instant) {
        let Some(connection) = self.network.connections.get_mut(conn) else { return };
        let id = connection.server;
        if let Some(server) = self.servers.get_mut(id) {
            server.read(bytes);
        }
        match connection.phase {
            Phase::Connecting | Phase::Greeting => self.greeted(conn, id, now),
            Phase::Ready => self.read_replies(conn, id, now),
        }
    }

    fn read_replies(&mut self, conn: ConnId, id: ServerId, now: Instant) {
        let mut answered = false;
        let mut was_slow = false;
        if let Some(connection) = self.network.connections.get_mut(conn) {
            was_slow = connection.late || connection.is_bulky();
            connection.heard(now);
        }
        let broken = loop {
            let Some(connection) = self.network.connections.get_mut(conn) else { return };
            let calls = &self.calls;
            let key = |call| calls.get(call)?.key.as_ref();
            if let Some((call, item)) = connection.next_item(self.config.max_value, key) {
                answered = true;
                if !self.large_items.is_empty() {
                    if let Some(key) = self.calls.get(call).and_then(|call| call.key.as_ref()) {
                        self.large_items.read(key, item.value.len());
                    }
                }
                self.finish(call, Ok(Outcome::Item(item)), now);
                continue;
            }
            match connection.next_reply(self.config.max_value, key) {
                Ok(None) => break None,
                Ok(Some(reply)) => {
                    answered = true;
                    if let Some(call) = reply.call {
                        if let Some(call) = self.calls.get(call) {
                            let size = Self::note_size(&mut self.large_items, call, &reply.answer);
                            self.network.value_came(size, now);
                        }
                        self.complete(call, reply.answer, now);
                    }
                    if let Some((key, size)) = reply.unwanted {
                        self.large_items.read(&key, size);
                        self.network.value_came(size, now);
                    }
                    if let Some(side_effect) = reply.side_effect {
                        self.hand_back(id, side_effect, now);
                    }
                    if !reply.in_sync {
                        break Some(Cause::Refused);
                    }
                }
                Err(Malformed::Unclear) => break Some(Cause::Refused),
                Err(malformed) => {
                    if let Some(server) = self.servers.get(id).filter(|_| malformed == Malformed::TooLong) {
                        server.reply_too_long();
                    }
                    break Some(if connection.is_due_encoded() { Cause::EncodedKey } else { Cause::Protocol });
                }
            }
        };
        if let Some(connection) = self.network.connections.get_mut(conn).filter(|c| answered && c.has_more()) {
            // What was held back may go now.
            self.writes.mark(conn, connection);
        }
        // Whatever came behind them: these were answers.
        let proven = self.network.connections.get(conn).is_some_and(|connection| !connection.is_unproven(now));
        if let Some(server) = self.servers.get_mut(id).filter(|_| answered) {
            server.answered(proven, &mut self.network, now);
        }
        match broken {
            Some(cause) => self.fail(conn, cause, false, now),
            None if answered => self.after_reply(conn, id, now),
            // It may be of use to those who wait by now.
            None if was_slow => self.pump(id, now),
            None => {}
        }
    }

    /// Something left the connection's FIFO: others may take its place, or the connection may be idle.
    pub(super) fn after_reply(&mut self, conn: ConnId, id: ServerId, now: Instant) {
        self.touch(id);
        if self.has_waiting(id) {
            self.pump(id, now);
        }
        self.after_last_reply(conn, id, now);
    }

    /// If nothing is under way on the connection any more: gives memory back, and sees to its closing.
    fn after_last_reply(&mut self, conn: ConnId, id: ServerId, now: Instant) {
        let Some(connection) = self.network.connections.get_mut(conn).filter(|c| c.is_idle()) else { return };
        for mut buffer in connection.shrink() {
            // What is behind its beginning is not all of its memory.
            let is_large = buffer.try_reclaim(SPARE_CAPACITY + 1);
            if self.spare_buffers.len() < SPARE_BUFFERS && !is_large {
                self.spare_buffers.push(buffer);
            }
        }
        let Some(server) = self.servers.get_mut(id) else { return };
        if server.connection_is_idle(conn, &mut self.network, now) {
            self.pump(id, now);
        }
    }

    /// Fills `slices` with what the connection has to write and returns how many it used; 0: nothing. After
    /// [`written`](Client::written) there may be more.
    pub fn transmit<'a>(&'a mut self, conn: ConnId, slices: &mut [IoSlice<'a>]) -> usize {
        let Some(connection) = self.network.connections.get_mut(conn) else { return 0 };
        let calls = &self.calls;
        let encode = |dialect: Dialect, call, token, out: &mut Outbound| {
            if let Some(Call { key, task: Task::Work(work), .. }) = calls.get(call) {
                dialect.encode(out, key.as_ref(), work, token);
            }
        };
        let spare = &mut self.spare_buffers;
        connection.encode(encode, || spare.pop());
        connection.slices(slices)
    }

    /// The socket accepted so many bytes of what [`transmit`](Client::transmit) gave. Returns whether there is more.
    pub fn written(&mut self, conn: ConnId, bytes: usize, now: Instant) -> bool {
        let Some(connection) = self.network.connections.get_mut(conn) else { return false };
        let id = connection.server;
        let Some(server) = self.servers.get_mut(id) else { return false };
        server.wrote(bytes);
        let calls = &mut self.calls;
        let was_bulky = connection.is_bulky();
        connection.wrote(bytes, now, |call| {
            // The value is on its way; what is left to keep is the key.
            if let Some(call) = calls.get_mut(call) {
                if !call.retried && !matches!(call.owner, Owner::Nobody) {
                    server.first_written(call.since, now);
                }
                server.release_backlog(call.take_backlog());
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
        // What waited may be on this connection by now.
        more || self.network.connections.get(conn).is_some_and(Connection::has_more)
    }

    /// The driver lost the connection; its socket is closed.
    pub fn closed(&mut self, conn: ConnId, loss: Loss, now: Instant) {
        let greeted = self.network.connections.get(conn).is_some_and(|c| c.phase == Phase::Greeting);
        let cause = match loss {
            Loss::Eof | Loss::Error if greeted => Cause::HungUp,
            loss => Cause::Lost(loss),
        };
        self.fail(conn, cause, true, now);
    }

    /// Ends a connection. `gone`: the driver knows.
    pub(super) fn fail(&mut self, conn: ConnId, cause: Cause, gone: bool, now: Instant) {
        let Some(mut connection) = self.network.connections.remove(conn) else { return };
        let cause = match cause {
            Cause::HungUp | Cause::Unanswered(_) => connection.unfinished_greeting().map_or(cause, Cause::Unfit),
            cause => cause,
        };
        let id = connection.server;
        let Some(server) = self.servers.get_mut(id) else { return };
        let cause = server.cause_for(cause);
        if !gone {
            self.network.outputs.push_back(Output::Close { conn });
        }
        if server.trial_failed(conn, connection.address, &mut self.network, now) {
            return;
        }
        let lost_requests: Vec<LostRequest> = connection.lost_requests().collect();
        let loss = (&cause, lost_requests.len());
        if server.connection_ended(conn, &connection, loss, &mut self.network, now) {
            self.went_down(id, now);
        }
        let again = lost_requests.into_iter().filter_map(|lost| self.retry_lost(lost, &cause, now)).collect();
        if let Some(server) = self.servers.get_mut(id) {
            server.enqueue_first(again);
        }
        self.pump(id, now);
        if let Some(server) = self.servers.get_mut(id) {
            server.refill_later(&mut self.network, now);
        }
    }
}
