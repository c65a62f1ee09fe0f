//! Cancelled and late operations: how they leave their stage.

use super::call::{Call, Owner, Stage, Task};
use super::share::FormerLeader;
use super::state::Client;
use crate::connection::{SideEffect, Undo};
use crate::id::{CallId, ServerId};
use crate::network::Timer;
use crate::operation::key::Key;
use crate::operation::reply::{Lease, Outcome};
use crate::server::Load;
use crate::time::Instant;

impl<T> Client<T> {
    /// The side effect of a cancelled operation that has got a lease, if its caller has not seen it.
    fn unclaimed_lease(call: &Call<T>) -> Option<SideEffect> {
        let Task::Answer(Ok(Outcome::Lease(Lease::Won { cas, stale, old }))) = &call.task else { return None };
        let key = call.key.clone()?;
        let undo = match (*stale, old) {
            (true, _) => Undo::Mark { cas: *cas, life: None },
            (false, None) => Undo::Remove { cas: *cas },
            (false, Some(_)) => return None,
        };
        Some(SideEffect { key, undo })
    }

    /// Cancels an operation: it will not complete. `None`: there is no such operation, or its completion was handed
    /// out. The server may carry it out all the same.
    pub fn cancel(&mut self, id: CallId, now: Instant) -> Option<T> {
        // Internal operations cannot be cancelled.
        let Owner::Caller(_) = self.calls.get(id)?.owner else { return None };
        self.take_back_parts(id, now);
        self.take_back(id, now)
    }

    pub(super) fn take_back(&mut self, id: CallId, now: Instant) -> Option<T> {
        let mut call = self.calls.remove(id)?;
        self.release_gathered(&call.task);
        if let Some(side_effect) = Self::unclaimed_lease(&call) {
            self.hand_back(call.server, side_effect, now);
        }
        if let Some(key) = call.waits_for() {
            self.stop_waiting(id, call.stage == Stage::Waiting, &(call.subset, key.raw().to_vec()), now);
        }
        if let Some(server) = self.servers.get_mut(call.server) {
            server.release(call.hold.take());
        }
        if !matches!(call.stage, Stage::Done | Stage::Gathering) {
            self.modules.ended(call.module, false);
        }
        let load = call.take_load();
        let overdue = call.deadline.after(call.timeout().max(self.config.timeout));
        let former =
            FormerLeader { group: call.group, module: call.module, server: call.server, stage: call.stage, overdue };
        if self.hand_over(former, now).is_none() {
            self.close_exchange(call.group, call.key.as_ref());
            self.give_up_place(call.server, call.stage, load, call.key.as_ref(), overdue, now);
        }
        if let Some(server) = self.servers.get_mut(call.server) {
            server.cancelled();
        }
        self.recycle(call.key);
        call.owner.into_caller()
    }

    /// The key of an operation that leaves this stage, if a late reply has to be compared with it.
    pub(super) fn key_left(&self, id: CallId, stage: Stage) -> Option<Key> {
        let Stage::Sent(conn, _) = stage else { return None };
        self.network.connections.get(conn).filter(|connection| !connection.dialect().has_tokens())?;
        self.calls.get(id)?.key.clone()
    }

    /// An operation gives up and leaves its stage. Returns whether the server may carry it out.
    pub(super) fn give_up_place(
        &mut self,
        id: ServerId,
        stage: Stage,
        load: Load,
        key: Option<&Key>,
        overdue: Instant,
        now: Instant,
    ) -> bool {
        if let Some(server) = self.servers.get_mut(id) {
            server.release_backlog(load);
            if stage == Stage::Queued {
                server.gave_up_waiting(load.module);
                // Those behind one that goes alone may find room now.
                if server.has_waiting() {
                    self.pump(id, now);
                }
            }
        }
        let Stage::Sent(conn, number) = stage else { return false };
        let Some(connection) = self.network.connections.get_mut(conn) else { return false };
        if connection.abandon(number, key, overdue) {
            self.network.timers.insert(overdue, Timer::Overdue(conn, number));
            return true;
        }
        // The connection has room for another operation, or is idle.
        self.after_reply(conn, id, now);
        false
    }
}
