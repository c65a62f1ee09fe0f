//! How a server accepts operations, lets them wait, and releases them.

use std::collections::TryReserveError;

use super::backlog::Load;
use super::order::Target;
use super::pending_writes::Hold;
use super::queue::{Line, Lines};
use super::share::has_room;
use super::state::Server;
use crate::id::{CallId, ConnId};
use crate::metrics::counter::Counter;
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::module::ModuleId;
use crate::operation::work::Work;
use crate::time::Instant;

impl Server {
    /// Accepts an operation, or says why not. `share`: its module's share of so many places. `has_memory`: whether the
    /// caller's own structures have room for it.
    #[inline]
    pub fn admit(
        &mut self,
        work: &Work,
        module: ModuleId,
        share: impl Fn(usize) -> usize,
        target: Target,
        has_memory: bool,
        now: Instant,
    ) -> Result<(), Error> {
        let load = Load { module, bytes: work.value_len() };
        let refused = self.refusal(work, load, share, target, has_memory);
        if let Some(error) = refused {
            self.refused(&error, now);
            return Err(error);
        }
        self.changed = true;
        if target == Target::Queue && self.connecting == 0 && self.is_full() {
            self.counters.stats.limits.pipeline.bump();
        }
        self.counters.accepted(work, now);
        self.backlog.add(load);
        Ok(())
    }

    /// Why it refuses an operation.
    #[inline]
    fn refusal(
        &mut self,
        work: &Work,
        load: Load,
        share: impl Fn(usize) -> usize,
        target: Target,
        has_memory: bool,
    ) -> Option<Error> {
        let (size, limit) = (load.bytes, self.settings.max_value);
        let has_memory = has_memory && (!work.is_write() || self.writes.try_reserve().is_ok());
        let limits = &self.counters.stats.limits;
        let busy = |limit: &Counter| {
            limit.bump();
            Some(Error::Busy)
        };
        match target {
            _ if size > limit => Some(Error::TooLarge { size, limit }),
            _ if !self.is_live() => Some(Error::ServerDown),
            Target::Queue if !self.has_room_for(load.module, &share) => busy(&limits.queue),
            Target::Nowhere => busy(&limits.pipeline),
            _ if !self.backlog.has_room(load, &share) => busy(&limits.backlog),
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
        match hold {
            Some(Hold::Sent(hash)) => self.writes.release(hash),
            Some(Hold::Queued(hash)) => self.queue.release(hash),
            None => {}
        }
    }

    /// These bytes of a value were written, or need not be.
    #[inline]
    pub fn release_backlog(&mut self, load: Load) {
        self.backlog.remove(load);
    }

    /// An operation with such a value comes from another server.
    pub fn take_backlog(&mut self, load: Load) {
        self.backlog.add(load);
    }

    /// Reserves memory for one more operation in the queue.
    pub fn reserve_queue(&mut self, module: ModuleId, key: Option<&Key>) -> Result<(), TryReserveError> {
        self.queue.try_reserve(module, key)
    }

    /// Whether the queue has room for one more operation.
    pub fn has_room_in_queue(&self) -> bool {
        self.queue.len() < self.settings.queue
    }

    /// The same for one of this module, which has this share of so many places.
    fn has_room_for(&self, module: ModuleId, share: impl Fn(usize) -> usize) -> bool {
        let (own, taken, all) = (self.queue.len_of(module), self.queue.len(), self.settings.queue);
        has_room(own, taken, all, || share(all))
    }

    /// Whether operations wait.
    #[inline]
    pub fn has_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The number of operations that wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The number of those of a module.
    pub fn waiting_of(&self, module: ModuleId) -> usize {
        self.queue.len_of(module)
    }

    /// An operation waits. A write has a mark, which is returned. `waits`: whether one still does.
    pub fn enqueue(
        &mut self,
        call: CallId,
        module: ModuleId,
        key: Option<&Key>,
        is_write: bool,
        waits: impl Fn(CallId) -> bool,
    ) -> Option<Hold> {
        self.queue.push(call, module, key, is_write, waits)
    }

    /// Operations of a lost connection go to the front: they have waited longest.
    pub fn enqueue_first(&mut self, calls: Vec<(CallId, ModuleId)>) {
        self.queue.push_in_front(calls);
    }

    /// The next operation that waits, and its line unless it comes first. Lines that `passed` has are passed over.
    /// `waits`: whether an operation still does.
    pub fn next_waiting(&mut self, passed: Lines, waits: impl Fn(CallId) -> bool) -> Option<(CallId, Option<Line>)> {
        self.queue.next(passed, waits)
    }

    /// That operation, of this module, leaves the queue.
    pub fn dequeue(&mut self, module: ModuleId) {
        self.queue.pop(module);
    }

    /// An operation of this module in the queue gave up.
    pub fn gave_up_waiting(&mut self, module: ModuleId) {
        self.queue.gave_up(module);
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
