//! Timers.

use super::call::{Call, Stage};
use super::share::FormerLeader;
use super::state::Client;
use crate::connection::Phase;
use crate::id::{CallId, ConnId, ServerId};
use crate::network::{Cause, Timer};
use crate::operation::error::Error;
use crate::operation::reply::{Lease, Outcome};
use crate::time::Instant;

impl<T> Client<T> {
    /// When [`timeout`](Client::timeout) has to be called; `None`: no timer is set.
    pub fn next_timeout(&mut self) -> Option<Instant> {
        let (calls, connections, servers) = (&self.calls, &self.network.connections, &self.servers);
        let draining = self.network.draining;
        let live = |timer: &Timer| match *timer {
            Timer::Call(id) => calls.get(id).is_some_and(|call: &Call<T>| call.stage != Stage::Done),
            Timer::Connect(conn) => connections.get(conn).is_some_and(|c| c.phase() != Phase::Ready),
            Timer::Leave(conn) => connections.contains_key(conn),
            Timer::Overdue(conn, number) => connections.get(conn).is_some_and(|c| c.awaits(number)),
            Timer::Ask(id) => calls.get(id).is_some_and(|call| call.stage == Stage::Waiting),
            Timer::Server(id) => servers.member(id).is_some(),
            Timer::SpareValues => true,
            Timer::Switches => !draining,
        };
        self.network.timers.sweep(live);
        self.network.timers.next(live)
    }

    /// Handles all timers that are due. A call is harmless at any time.
    pub fn timeout(&mut self, now: Instant) {
        loop {
            let mut late: Vec<ServerId> = Vec::new();
            while let Some(timer) = self.network.timers.pop_due(now) {
                late.extend(self.due(timer, now));
            }
            if late.is_empty() {
                return;
            }
            // Operations that were late together count as one failure of their server.
            late.sort_unstable();
            late.dedup();
            for server in late {
                if !self.failed(server, &Cause::Timeouts, now) {
                    // Late connections do not keep other operations waiting any more.
                    self.pump(server, now);
                }
            }
        }
    }

    /// A timer is due. Returns the server, if an operation was late and the server is to blame.
    fn due(&mut self, timer: Timer, now: Instant) -> Option<ServerId> {
        match timer {
            Timer::Call(id) => {
                let Some(later) = self.put_off(id, now) else { return self.expire_call(id, now) };
                self.network.timers.insert(later, timer);
            }
            Timer::Connect(conn) => self.connect_is_late(conn, now),
            Timer::Leave(conn) => self.fail(conn, Cause::Overdue, false, now),
            Timer::Overdue(conn, number) => self.reply_is_late(conn, number, now),
            Timer::Ask(id) => self.ask(id, now),
            Timer::SpareValues => self.network.age_spare_values(now),
            Timer::Switches => self.switches_are_due(now),
            Timer::Server(id) => {
                if self.servers.get_mut(id)?.take_maintenance(now) {
                    self.maintain(id, now);
                }
            }
        }
        None
    }

    /// A connection was not ready in time.
    fn connect_is_late(&mut self, conn: ConnId, now: Instant) {
        let Some(connection) = self.network.connections.get(conn) else { return };
        let cause = match connection.phase() {
            Phase::Connecting if connection.is_securing() => Cause::TlsTimeout,
            Phase::Connecting => Cause::ConnectTimeout,
            Phase::Greeting => Cause::Unanswered,
            Phase::Ready => return,
        };
        self.fail(conn, cause(self.config.connect_timeout), false, now);
    }

    /// The reply to a request that was given up is late, if it has not come.
    fn reply_is_late(&mut self, conn: ConnId, number: u32, now: Instant) {
        let Some(connection) = self.network.connections.get(conn).filter(|c| c.awaits(number)) else { return };
        // Bytes of the reply show that the server works, even if the link is full.
        let give_up_at = connection.moved_at().after(self.config.timeout);
        let later = if !connection.is_overdue(now) {
            // An operation with a longer deadline is in front of it.
            now.after(self.config.timeout)
        } else if give_up_at > now {
            give_up_at
        } else {
            return self.fail(conn, Cause::Overdue, false, now);
        };
        self.network.timers.insert(later, Timer::Overdue(conn, number));
    }

    /// A deadline has passed: returns the new deadline if it is put off, because large values move on the operation's
    /// connection. Without this, a full link would stay full of unwanted values. Only `memcache_timeout` is put off,
    /// not a timeout that the caller has chosen.
    fn put_off(&mut self, id: CallId, now: Instant) -> Option<Instant> {
        let call = self.calls.get(id).filter(|call| call.patience > 0)?;
        let stage = match call.stage {
            Stage::Following(name) => self.calls.get(self.exchanges.leader(name)?)?.stage,
            stage => stage,
        };
        let Stage::Sent(conn, _) = stage else { return None };
        let connection = self.network.connections.get(conn).filter(|connection| connection.is_bulky())?;
        if connection.moved_at().after(self.config.timeout.mul_f64(0.25)) <= now {
            return None;
        }
        let later = now.after(self.config.timeout);
        let call = self.calls.get_mut(id)?;
        call.patience = call.patience.saturating_sub(1);
        call.deadline = later;
        Some(later)
    }

    /// The operation's deadline has passed. Returns the server if it is to blame: the request was sent, and nothing has
    /// come on its connection since the submission.
    fn expire_call(&mut self, id: CallId, now: Instant) -> Option<ServerId> {
        let call = self.calls.get_mut(id).filter(|call| call.stage != Stage::Done)?;
        let (server, is_write, stage) = (call.server, call.is_write(), call.stage);
        let (since, load) = (call.since, call.take_load());
        let overdue = now.after(call.timeout().max(self.config.timeout));
        if stage == Stage::Waiting {
            // It has waited long enough for another client's item.
            self.complete(id, Ok(Outcome::Lease(Lease::Lost { cas: 0, old: None })), now);
            return None;
        }
        // It leaves its stage first, so that no operation that waits takes its place too early.
        call.stage = Stage::Done;
        let group = call.group;
        if let Stage::Following(name) = stage {
            self.leave_exchange(name, now);
        }
        let sent = match self.hand_over(FormerLeader { group, module: load.module, server, stage, overdue }, now) {
            Some(sent) => {
                if let Some(call) = self.calls.get_mut(id) {
                    call.group = None;
                }
                sent
            }
            None => {
                let key = self.key_left(id, stage);
                self.give_up_place(server, stage, load, key.as_ref(), overdue, now)
            }
        };
        self.complete(id, Err(Error::Timeout { maybe_applied: sent && is_write }), now);
        if self.has_waiting(server) {
            // Operations that had to follow it may move now.
            self.pump(server, now);
        }
        (sent && self.is_silent(stage, since)).then_some(server)
    }

    /// An operation is late: whether no bytes have come on its connection since its submission. If so, new operations
    /// prefer other connections.
    fn is_silent(&mut self, stage: Stage, since: Instant) -> bool {
        let Stage::Sent(conn, _) = stage else { return true };
        let Some(connection) = self.network.connections.get_mut(conn) else { return true };
        connection.note_late(since)
    }
}
