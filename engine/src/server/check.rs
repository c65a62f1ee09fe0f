//! Invariants of a server between any two calls, for the simulation.

use super::state::Server;
use crate::id::CallId;
use crate::limits::MAX_MODULES;
use crate::network::Connections;
use crate::operation::module::ModuleId;

impl Server {
    /// Whether the counts agree with the lists; `Err` says which do not. `waits`: whether an operation waits in this
    /// queue. `asks`: the bytes of its large value, whether it goes alone, and whether it may have to leave a connection to
    /// other modules. `held`: the number of writes under way, and in the queue.
    pub fn check(
        &self,
        connections: &Connections,
        waits: impl Fn(CallId) -> bool,
        asks: impl Fn(CallId) -> (u32, bool, bool),
        held: usize,
    ) -> Result<(), String> {
        let id = self.id;
        let queued = self.queue.iter().filter(|&call| waits(call)).count();
        if queued != self.queue.len() {
            return Err(format!("server {id}: {queued} operations wait, {} are counted", self.queue.len()));
        }
        let of = (0..=MAX_MODULES).map(|module| self.queue.len_of(ModuleId::from_index(module)));
        let of = of.fold(0, usize::saturating_add);
        if queued != of {
            return Err(format!("server {id}: {queued} operations wait, {of} are counted for modules"));
        }
        let picks = self.queue.heads(&waits).into_iter().map(|call| {
            let (bulk, alone, spares) = asks(call);
            if alone && self.lets_wait() {
                let pick = self.pick_alone(connections);
                return (pick, pick);
            }
            let pick = self.pick(connections, bulk);
            (pick, if spares { self.pick_sparing(connections, bulk) } else { pick })
        });
        let picks: Vec<_> = picks.collect();
        // One that waits for room on any connection is passed by none.
        let may_go = picks.iter().all(|(any, _)| any.is_some()) && picks.iter().any(|(_, own)| own.is_some());
        if self.sends() && may_go {
            return Err(format!("server {id}: an operation waits that could be sent"));
        }
        let counted = self.writes.len().saturating_add(self.queue.held());
        if held != counted {
            return Err(format!("server {id}: {held} writes are under way, {counted} are counted"));
        }
        Ok(())
    }
}

#[cfg(test)]
impl Server {
    /// Bytes of values that wait to be written.
    pub fn backlog(&self) -> usize {
        self.backlog.bytes()
    }

    /// The number of writes under way.
    pub fn pending_writes(&self) -> usize {
        self.writes.len()
    }
}
