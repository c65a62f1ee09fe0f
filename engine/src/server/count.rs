//! A server's counters.

use super::state::Server;
use crate::operation::error::Error;
use crate::operation::reply::Answer;
use crate::operation::work::Work;
use crate::time::Instant;

impl Server {
    /// The gauges may have changed.
    #[inline]
    pub fn note_change(&mut self) {
        self.changed = true;
    }

    /// Whether the gauges may have changed since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// An operation has its answer, and a caller waits for it.
    #[inline]
    pub fn completed(&mut self, answer: &Answer, work: Option<&Work>, since: Instant, now: Instant) {
        self.changed = true;
        self.counters.answered(answer, work, since, now);
    }

    /// An operation was refused.
    pub fn refused(&mut self, error: &Error, now: Instant) {
        self.changed = true;
        self.counters.failed_with(error, now);
    }

    /// An operation was cancelled.
    pub fn cancelled(&mut self) {
        self.changed = true;
        self.counters.stats.errors.cancelled.bump();
    }

    /// A batch has no room for the value of this answer.
    pub fn answer_dropped(&mut self) {
        self.changed = true;
        self.counters.stats.errors.busy.bump();
    }

    /// An operation goes to the stand-in of this server.
    pub fn failed_over(&mut self) {
        self.changed = true;
        self.counters.stats.failed_over.bump();
    }

    /// An operation is sent again.
    pub fn sent_again(&self) {
        self.counters.stats.retried.bump();
    }

    /// A get shares the exchange of another.
    pub fn coalesced(&self) {
        self.counters.stats.coalesced.bump();
    }

    /// A side effect of a lookup is undone.
    pub fn handed_back(&self) {
        self.counters.stats.handed_back.bump();
    }

    /// An operation is refused: the connection that it has to go to has no room.
    pub fn pipeline_full(&self) {
        self.counters.stats.limits.pipeline.bump();
    }

    /// An operation is refused: the queue is full.
    pub fn queue_full(&self) {
        self.counters.stats.limits.queue.bump();
    }

    /// A line of a reply was too long.
    pub fn reply_too_long(&self) {
        self.counters.stats.limits.reply.bump();
    }

    /// Bytes were received.
    #[inline]
    pub fn read(&self, bytes: usize) {
        self.counters.stats.bytes_read.add(bytes as u64);
    }

    /// Bytes were written.
    #[inline]
    pub fn wrote(&self, bytes: usize) {
        self.counters.stats.bytes_written.add(bytes as u64);
    }

    /// An operation is written for the first time. It was submitted at `since`.
    #[inline]
    pub fn first_written(&self, since: Instant, now: Instant) {
        self.counters.queue_time.record(since, now);
    }
}
