//! What is counted of a server.

use super::state::Server;
use crate::operation::error::Error;
use crate::operation::reply::Answer;
use crate::operation::work::Work;
use crate::time::Instant;

impl Server {
    /// Its gauges may have changed.
    #[inline]
    pub fn note_change(&mut self) {
        self.changed = true;
    }

    /// Whether its gauges may have changed since this was asked last.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// An operation that somebody waits for has its answer.
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

    /// An operation was taken back.
    pub fn cancelled(&mut self) {
        self.changed = true;
        self.counters.stats.errors.cancelled.bump();
    }

    /// A batch would hold too many bytes with this answer.
    pub fn answer_dropped(&mut self) {
        self.changed = true;
        self.counters.stats.errors.busy.bump();
    }

    /// An operation goes to the server that stands in for it.
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

    /// What a lookup has done is undone.
    pub fn handed_back(&self) {
        self.counters.stats.handed_back.bump();
    }

    /// An operation has to go where there is no room for it.
    pub fn pipeline_full(&self) {
        self.counters.stats.limits.pipeline.bump();
    }

    /// Too many wait.
    pub fn queue_full(&self) {
        self.counters.stats.limits.queue.bump();
    }

    /// A line of a reply was too long.
    pub fn reply_too_long(&self) {
        self.counters.stats.limits.reply.bump();
    }

    /// Bytes have come.
    #[inline]
    pub fn read(&self, bytes: usize) {
        self.counters.stats.bytes_read.add(bytes as u64);
    }

    /// Bytes have gone.
    #[inline]
    pub fn wrote(&self, bytes: usize) {
        self.counters.stats.bytes_written.add(bytes as u64);
    }

    /// An operation that was submitted then is written for the first time.
    #[inline]
    pub fn first_written(&self, since: Instant, now: Instant) {
        self.counters.queue_time.record(since, now);
    }
}
