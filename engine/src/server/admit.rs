//! How a server accepts operations, lets them wait, and releases them.

use std::collections::TryReserveError;

use super::order::Target;
use super::pending_writes::Hold;
use super::state::Server;
use crate::id::{CallId, ConnId};
use crate::metrics::counter::Counter;
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::work::Work;
use crate::time::Instant;

impl Server {
    /// Accepts an operation, or says why not. `has_memory`: whether the caller's own structures have room for it.
    #[inline]
    pub fn admit(&mut self, work: &Work, target: Target, has_memory: bool, now: Instant) -> Result<(), Error> {
        let refused = self.refusal(work, target, has_memory);
        if let Some(error) = refused {
            self.refused(&error, now);
            return Err(error);
        }
        self.changed = true;
        if target == Target::Queue && self.connecting == 0 && self.is_full() {
            self.counters.stats.limits.pipeline.bump();
        }
        self.counters.accepted(work, now);
        self.backlog.add(work.value_len());
        Ok(())
    }

    /// Why it refuses an operation.
    #[inline]
    fn refusal(&mut self, work: &Work, target: Target, has_memory: bool) -> Option<Error> {
        let (size, limit) = (work.value_len(), self.settings.max_value);
        let has_memory = has_memory && (!work.is_write() || self.writes.try_reserve().is_ok());
        let limits = &self.counters.stats.limits;
        let busy = |limit: &Counter| {
            limit.bump();
            Some(Error::Busy)
        };
        match target {
            _ if size > limit => Some(Error::TooLarge { size, limit }),
            _ if !self.is_live() => Some(Error::ServerDown),
            Target::Queue if !self.has_room_in_queue() => busy(&limits.queue),
            Target::Nowhere => busy(&limits.pipeline),
            _ if !self.backlog.has_room(size) => busy(&limits.backlog),
            _ if !has_memory => Some(Error::NoMemory),
            _ => None,
        }
    }

    /// Whether all connections that the configuration allows exist.
    fn is_full(&self) -> bool {
        self.connections.len() >= self.settings.pool.max() as usize
    }

    /// An operation was put on this connection.
    #[inline]
    pub fn sent(&mut self, conn: ConnId) {
        self.latest = Some(conn);
    }

    /// A write of this key was put on this connection: later operations on the key must not pass it.
    pub fn hold(&mut self, key: &Key, conn: ConnId) -> Hold {
        self.writes.hold(key, conn)
    }

    /// The write has its answer, or will get none.
    #[inline]
    pub fn release(&mut self, hold: Option<Hold>) {
        if let Some(hold) = hold {
            self.writes.release(hold);
        }
    }

    /// These bytes of a value were written, or need not be.
    #[inline]
    pub fn release_backlog(&mut self, bytes: usize) {
        self.backlog.remove(bytes);
    }

    /// An operation with this many bytes of a value comes from another server.
    pub fn take_backlog(&mut self, bytes: usize) {
        self.backlog.add(bytes);
    }

    /// Reserves memory for one more operation in the queue.
    pub fn reserve_queue(&mut self) -> Result<(), TryReserveError> {
        self.queue.try_reserve()
    }

    /// Whether the queue has room for one more operation.
    pub fn has_room_in_queue(&self) -> bool {
        self.queue.len() < self.settings.queue
    }

    /// The number of operations that wait.
    #[inline]
    pub fn has_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// An operation waits. `waits`: whether one still does.
    pub fn enqueue(&mut self, call: CallId, waits: impl Fn(CallId) -> bool) {
        self.queue.push(call, waits);
    }

    /// Operations of a lost connection go to the front: they have waited longest.
    pub fn enqueue_first(&mut self, calls: Vec<CallId>) {
        self.queue.push_in_front(calls);
    }

    /// The next operation that waits. `waits`: whether one still does.
    pub fn next_waiting(&mut self, waits: impl Fn(CallId) -> bool) -> Option<CallId> {
        self.queue.next(waits)
    }

    /// That operation leaves the queue.
    pub fn dequeue(&mut self) {
        self.queue.pop();
    }

    /// `count` operations in the queue gave up.
    pub fn gave_up_waiting(&mut self, count: usize) {
        self.queue.gave_up(count);
    }

    /// All operations in the queue, including those that gave up.
    pub fn queued(&self) -> impl Iterator<Item = CallId> + '_ {
        self.queue.iter()
    }

    /// Takes all operations out of the queue.
    pub fn empty_queue(&mut self) -> impl Iterator<Item = CallId> {
        self.queue.take()
    }
}
