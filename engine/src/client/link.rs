//! What happens on connections.

use std::io::IoSlice;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::call::{Call, Owner, Task};
use super::state::Client;
use crate::connection::{Connection, LostRequest, Phase};
use crate::id::{ConnId, ServerId};
use crate::network::{Cause, Event, Loss, Output};
use crate::operation::key::Key;
use crate::operation::reply::Outcome;
use crate::operation::work::Work;
use crate::protocol::dialect::Dialect;
use crate::protocol::greeting::Unfit;
use crate::protocol::line::Malformed;
use crate::protocol::outbound::Outbound;
use crate::server::health::Policy;
use crate::shared::State;
use crate::stats::Fault;
use crate::time::Instant;

/// Buffers that are kept for the next connection that reads or writes.
const SPARE_BUFFERS: usize = 4;
/// Larger ones are freed: a write buffer that has once held a burst is no read buffer.
const SPARE_CAPACITY: usize = 64 * 1024;
/// Connections that were lost are replaced within this time, where no operation needs them sooner.
const REFILL: Duration = Duration::from_millis(100);

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
            server.counters.stats.bytes_read.add(bytes as u64);
        }
        match connection.phase {
            Phase::Connecting | Phase::Greeting => self.greeted(conn, id, now),
            Phase::Ready => self.read_replies(conn, id, now),
        }
    }

    pub(super) fn ready(&mut self, conn: ConnId, id: ServerId, now: Instant) {
        if !self.arrive(conn, id, now) {
            return;
        }
        let policy = self.policy();
        let Some(server) = self.servers.get_mut(id) else { return };
        server.counters.stats.opened.bump();
        if server.health.connected(policy, now) {
            self.back(id, now);
        }
        self.after_reply(conn, id, now);
        if !self.network.draining {
            // A server that is back gets its `min` again.
            self.maintain(id, now);
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
                    if let Some(server) = self.servers.get_mut(id).filter(|_| malformed == Malformed::TooLong) {
                        server.counters.stats.limits.reply.bump();
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
        // Nothing is put off by it. A number drawn per read would let what comes next depend on how reads are cut.
        let policy = Policy { max_fails: self.config.max_fails, retry: self.config.retry, jitter: 0.0 };
        let server = self.servers.get_mut(id).filter(|_| answered);
        let was_down = server.is_some_and(|server| {
            server.answered_at = now;
            server.health.success(proven, policy, now)
        });
        if was_down {
            self.back(id, now);
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
        if self.servers.get(id).is_some_and(|server| !server.queue.is_empty()) {
            self.pump(id, now);
        }
        self.after_last_reply(conn, id, now);
    }

    /// If nothing is under way on the connection any more: gives memory back, and sees to its closing.
    fn after_last_reply(&mut self, conn: ConnId, id: ServerId, now: Instant) {
        let Some(connection) = self.network.connections.get_mut(conn).filter(|c| c.is_idle()) else { return };
        connection.idle_since = now;
        for mut buffer in connection.shrink() {
            // What is behind its beginning is not all of its memory.
            let is_large = buffer.try_reclaim(SPARE_CAPACITY + 1);
            if self.spare_buffers.len() < SPARE_BUFFERS && !is_large {
                self.spare_buffers.push(buffer);
            }
        }
        let Some((server, config)) = self.servers.get(id).zip(self.config.servers.get(id)) else { return };
        if connection.leaving {
            self.close_connection(conn);
            self.maintain_at(id, now);
            return self.pump(id, now);
        }
        if self.network.draining || server.health.state() == State::Disabled {
            return self.close_connection(conn);
        }
        let (smax, ttl) = (config.pool.smax() as usize, config.pool.ttl());
        if ttl > 0 && server.connections.len() > smax {
            self.maintain_at(id, now.after(std::time::Duration::from_secs(u64::from(ttl))));
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
        server.counters.stats.bytes_written.add(bytes as u64);
        let calls = &mut self.calls;
        let was_bulky = connection.is_bulky();
        connection.wrote(bytes, now, |call| {
            // The value is on its way; what is left to keep is the key.
            if let Some(call) = calls.get_mut(call) {
                if !call.retried && !matches!(call.owner, Owner::Nobody) {
                    server.counters.queue_time.record(call.since, now);
                }
                server.backlog.remove(call.take_backlog());
                if let Task::Work(Work::Keyed(verb)) = &mut call.task {
                    verb.release_value();
                }
            }
        });
        let more = connection.has_more();
        if was_bulky && !server.queue.is_empty() {
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
        let is_known = self.servers.get(id).is_some_and(|server| server.counters.gauges.version().is_some());
        let cause = if is_known { cause.of_known() } else { cause };
        if !gone {
            self.network.outputs.push_back(Output::Close { conn });
        }
        if self.scout_failed(conn, id, connection.address, now) {
            return;
        }
        self.detach(conn, &connection);
        let lost_requests: Vec<LostRequest> = connection.lost_requests().collect();
        if connection.leaving {
            // The server is not asked there any more.
        } else if connection.phase == Phase::Ready {
            self.lost(id, &cause, lost_requests.len(), connection.is_unproven(now), now);
        } else {
            self.connect_failed(id, &cause, now);
        }
        let again = lost_requests.into_iter().filter_map(|lost| self.retry_lost(lost, &cause, now)).collect();
        self.put_in_front(id, again);
        self.pump(id, now);
        // What operations need is opened at once. `min` is refilled by timer: where a server was restarted, all
        // workers lose all connections in the same moment.
        let at = now.after(REFILL.mul_f64(self.network.rng.f64()));
        let retry_at = self.servers.get(id).map_or(at, |server| server.health.retry_at());
        self.maintain_at(id, at.max(retry_at));
    }

    /// A connection ended that had been ready.
    fn lost(&mut self, id: ServerId, cause: &Cause, operations: usize, unproven: bool, now: Instant) {
        if *cause == Cause::Lost(Loss::Closing) {
            return;
        }
        let Some(server) = self.servers.get_mut(id) else { return };
        let others = !server.connections.is_empty();
        // memcached closes connections that idle for too long, and all of them when it is stopped.
        let quiet = matches!(cause, Cause::Lost(Loss::Eof | Loss::Error)) && operations == 0;
        if !quiet {
            server.counters.stats.lost.bump();
            server.counters.last_fault.note(Fault::from(cause), now);
            let event = Event::ConnectionLost { server: id, cause: cause.clone(), operations };
            self.network.outputs.push_back(Output::Event(event));
        }
        // A request that the server refused is not a sign of ill health, nor is an answer that it may have got wrong for
        // the bytes of a key: whoever chooses these does not choose whether the server is down.
        let is_fault = !matches!(cause, Cause::Refused | Cause::EncodedKey);
        let weight = u32::from(is_fault && (!quiet || (unproven && !others)));
        // A server that hangs up as soon as it is asked something would be connected to without end.
        if !self.failure(id, weight, cause, now) && unproven {
            self.hold(id, now);
        }
    }

    /// A connection ended that had not been ready.
    fn connect_failed(&mut self, id: ServerId, cause: &Cause, now: Instant) {
        let Some(server) = self.servers.get_mut(id) else { return };
        server.counters.stats.failed.bump();
        server.counters.last_fault.note(Fault::from(cause), now);
        if cause.is_news() {
            let event = Event::ConnectFailed { server: id, cause: cause.clone() };
            self.network.outputs.push_back(Output::Event(event));
        }
        match cause {
            Cause::Lost(Loss::Closing) => {}
            Cause::Lost(Loss::NoResources) => {
                // That is our own trouble: another prober may have more luck.
                self.hold(id, now);
                self.give_lease_back(id);
            }
            _ => {
                if self.try_next_address(id, now) {
                    return;
                }
                // Where other connections work, or may work yet, one that does not is no reason to give up the server.
                let others = self.servers.get(id).is_some_and(|server| !server.connections.is_empty());
                let weight = match cause {
                    _ if others => 0,
                    Cause::Lost(loss) if loss.is_final() => u32::MAX,
                    Cause::Unfit(Unfit::TooOld(_)) => u32::MAX,
                    _ => 1,
                };
                if !self.failure(id, weight, cause, now) {
                    self.hold(id, now);
                    self.tell_probe_failed(id);
                }
            }
        }
    }

    /// The next connect to the server waits.
    fn hold(&mut self, id: ServerId, now: Instant) {
        let policy = self.policy();
        if let Some(server) = self.servers.get_mut(id) {
            server.health.hold(policy, now);
        }
    }

    /// Counts failures of a server. True if it is down from now on.
    pub(super) fn failure(&mut self, id: ServerId, weight: u32, cause: &Cause, now: Instant) -> bool {
        let policy = self.policy();
        let Some(server) = self.servers.get_mut(id) else { return false };
        if !server.health.failure(weight, policy, now) {
            return false;
        }
        server.touched = true;
        server.passed = Bytes::new();
        server.at.start_over();
        if self.tell_down(id, now) {
            self.network.outputs.push_back(Output::Event(Event::ServerDown { server: id, cause: cause.clone() }));
        }
        let retry_at = self.servers.get(id).map_or(now, |server| server.health.retry_at());
        self.give_up_queue(id, now);
        // Nobody knows what became of these; the probe is a new one.
        self.close_idle(id);
        self.maintain_at(id, retry_at);
        true
    }

    pub(super) fn policy(&mut self) -> Policy {
        Policy { max_fails: self.config.max_fails, retry: self.config.retry, jitter: self.network.rng.f64() }
    }
}
