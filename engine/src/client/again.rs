//! Retries of operations whose connection ended, or whose server is down.

use super::call::{Owner, Stage};
use super::state::Client;
use crate::connection::LostRequest;
use crate::id::{CallId, ServerId};
use crate::network::{Cause, Loss};
use crate::operation::retry::{error_for, End, Interrupted};
use crate::time::Instant;

impl<T> Client<T> {
    /// The server is down: operations in its queue go to its stand-in, or fail.
    pub(super) fn give_up_queue(&mut self, id: ServerId, now: Instant) {
        let Some(server) = self.servers.get_mut(id) else { return };
        for call in server.empty_queue() {
            if self.calls.get(call).is_some_and(|call| call.stage == Stage::Queued) {
                self.again_or_error(call, false, End::Lost, now);
            }
        }
    }

    /// Retries an operation whose connection ended, if that is safe, or ends it with an error. Returns it if it has to
    /// be put into its server's queue.
    pub(super) fn retry_lost(&mut self, lost: LostRequest, cause: &Cause, now: Instant) -> Option<CallId> {
        let end = match cause {
            Cause::Lost(Loss::Closing) if self.network.draining => End::Exit,
            // Its reply was invalid. A retry would bring the same reply.
            Cause::Protocol | Cause::EncodedKey if lost.due => End::Protocol,
            _ => End::Lost,
        };
        self.again_or_error(lost.call, lost.started, end, now)
    }

    /// Retries or ends the operation: [`retry`](crate::operation::retry) has the rule.
    fn again_or_error(&mut self, id: CallId, written: bool, end: End, now: Instant) -> Option<CallId> {
        let call = self.calls.get(id)?;
        let (from, writes) = (call.server, call.is_write());
        if self.servers.member(from).is_none() {
            self.again_elsewhere(id, written, end, now);
            return None;
        }
        // A lease has to be handed back to the server that gave it.
        let may_move = !matches!(call.owner, Owner::Internal);
        let key = call.key.as_ref().filter(|_| may_move);
        let target = key.and_then(|key| self.stand_in(call.subset, from, key)).unwrap_or(from);
        let live = self.servers.get(target).is_some_and(|server| {
            // An operation that moves to another server needs room there.
            server.is_live() && (target == from || server.has_room_in_queue())
        });
        let loss = Interrupted { written, writes, retried: call.retried, late: call.deadline <= now, live, end };
        match error_for(loss) {
            Some(error) => {
                self.complete(id, Err(error), now);
                None
            }
            None => self.send_again(id, from, target, now),
        }
    }

    /// The same for one whose server has left the list.
    fn again_elsewhere(&mut self, id: CallId, written: bool, end: End, now: Instant) {
        let Some(call) = self.calls.get_mut(id) else { return };
        // Another server is always found, or says why not.
        let (writes, late, live) = (call.is_write(), call.deadline <= now, true);
        let retried = call.retried && written;
        match error_for(Interrupted { written, writes, retried, late, live, end }) {
            Some(error) => self.complete(id, Err(error), now),
            None => {
                call.retried |= written;
                if let Some(server) = self.servers.get(call.server).filter(|_| written) {
                    server.sent_again();
                }
                self.route_anew(id, now);
            }
        }
    }

    fn send_again(&mut self, id: CallId, from: ServerId, target: ServerId, now: Instant) -> Option<CallId> {
        let call = self.calls.get_mut(id)?;
        call.retried = true;
        call.stage = Stage::Queued;
        call.server = target;
        let load = call.load();
        if let Some(server) = self.servers.get_mut(from) {
            server.release(call.hold.take());
            server.sent_again();
            if target != from {
                server.failed_over();
                server.release_backlog(load);
            }
        }
        if target == from {
            return Some(id);
        }
        self.arrive_at(id, target, now);
        None
    }
}
