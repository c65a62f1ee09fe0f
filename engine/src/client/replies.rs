//! Replies, and their effect on operations.

use super::state::Client;
use crate::connection::Reply;
use crate::id::{CallId, ConnId, ServerId};
use crate::network::Cause;
use crate::operation::reply::{Item, Outcome};
use crate::protocol::line::Malformed;
use crate::time::Instant;

impl<T> Client<T> {
    /// Bytes have come on a connection that is ready.
    pub(super) fn read_replies(&mut self, conn: ConnId, id: ServerId, now: Instant) {
        let Some(connection) = self.network.connections.get_mut(conn) else { return };
        let was_slow = connection.is_late() || connection.is_bulky();
        connection.heard(now);
        let Some((answered, broken)) = self.take_replies(conn, id, now) else { return };
        if let Some(connection) = self.network.connections.get_mut(conn).filter(|c| answered && c.has_more()) {
            // Requests that were held back may be written now.
            self.network.writes.mark(conn, connection);
        }
        // These were answers, whatever followed them.
        let proven = self.network.connections.get(conn).is_some_and(|connection| !connection.is_unproven(now));
        if let Some(server) = self.servers.get_mut(id).filter(|_| answered) {
            server.answered(proven, &mut self.network, now);
        }
        match broken {
            Some(cause) => self.fail(conn, cause, false, now),
            None if answered => self.after_reply(conn, id, now),
            // It may be usable for operations that wait.
            None if was_slow => self.pump(id, now),
            None => {}
        }
    }

    /// Takes the complete replies. Returns whether there were any, and why the connection ends, if it does. `None`: the
    /// connection does not exist any more.
    fn take_replies(&mut self, conn: ConnId, id: ServerId, now: Instant) -> Option<(bool, Option<Cause>)> {
        let mut answered = false;
        loop {
            let connection = self.network.connections.get_mut(conn)?;
            let calls = &self.calls;
            let key = |call| calls.get(call)?.key.as_ref();
            if let Some((call, item)) = connection.next_item(self.config.max_value, key) {
                answered = true;
                self.take_item(call, item, now);
                continue;
            }
            match connection.next_reply(self.config.max_value, key) {
                Ok(None) => return Some((answered, None)),
                Ok(Some(reply)) => {
                    answered = true;
                    if !self.take_reply(id, reply, now) {
                        return Some((answered, Some(Cause::Refused)));
                    }
                }
                Err(Malformed::Unclear) => return Some((answered, Some(Cause::Refused))),
                Err(malformed) => {
                    let cause = if connection.is_due_encoded() { Cause::EncodedKey } else { Cause::Protocol };
                    if let Some(server) = self.servers.get(id).filter(|_| malformed == Malformed::TooLong) {
                        server.reply_too_long();
                    }
                    return Some((answered, Some(cause)));
                }
            }
        }
    }

    /// The usual reply to a get.
    #[inline]
    fn take_item(&mut self, call: CallId, item: Item, now: Instant) {
        if !self.large_items.is_empty() {
            if let Some(key) = self.calls.get(call).and_then(|call| call.key.as_ref()) {
                self.large_items.read(key, item.value.len());
            }
        }
        self.finish(call, Ok(Outcome::Item(item)), now);
    }

    /// Any other reply. False: the connection cannot be used any more.
    fn take_reply(&mut self, id: ServerId, reply: Reply, now: Instant) -> bool {
        if let Some(call) = reply.call {
            if let Some(key) = self.calls.get(call).and_then(|call| call.key.as_ref()) {
                let size = self.large_items.note_answer(key, &reply.answer);
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
        reply.in_sync
    }

    /// A request left the connection's FIFO: another one may take its place, or the connection may be idle.
    pub(super) fn after_reply(&mut self, conn: ConnId, id: ServerId, now: Instant) {
        self.note_change(id);
        if self.has_waiting(id) {
            self.pump(id, now);
        }
        self.after_last_reply(conn, id, now);
    }

    /// If the connection is idle: gives its buffers back, and closes it if it has to be closed.
    pub(super) fn after_last_reply(&mut self, conn: ConnId, id: ServerId, now: Instant) {
        let Some(connection) = self.network.connections.get_mut(conn).filter(|c| c.is_idle()) else { return };
        for buffer in connection.shrink() {
            self.network.spare_buffers.keep(buffer);
        }
        let Some(server) = self.servers.get_mut(id) else { return };
        if server.connection_is_idle(conn, &mut self.network, now) {
            self.pump(id, now);
            self.forget_if_over(id, now);
        }
    }
}
