//! Invariants of a server between any two calls, for the simulation.

use super::state::Server;
use crate::id::CallId;
use crate::network::Connections;

impl Server {
    /// Whether the counts agree with the lists; `Err` says which do not. `waits`: whether an operation waits in this
    /// queue. `asks`: the bytes of its large value, and whether it goes alone. `held`: the number of writes under way.
    pub fn check(
        &self,
        connections: &Connections,
        waits: impl Fn(CallId) -> bool,
        asks: impl Fn(CallId) -> (u32, bool),
        held: usize,
    ) -> Result<(), String> {
        let id = self.id;
        let queued = self.queue.iter().filter(|&call| waits(call)).count();
        if queued != self.queue.len() {
            return Err(format!("server {id}: {queued} operations wait, {} are counted", self.queue.len()));
        }
        if let Some(first) = self.queue.iter().find(|&call| waits(call)) {
            let (bulk, alone) = asks(first);
            let goes_alone = alone && self.lets_wait();
            let pick = if goes_alone { self.pick_alone(connections) } else { self.pick(connections, bulk) };
            if self.sends() && pick.is_some() {
                return Err(format!("server {id}: an operation waits that could be sent"));
            }
        }
        if held != self.writes.len() {
            return Err(format!("server {id}: {held} writes are under way, {} are counted", self.writes.len()));
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
