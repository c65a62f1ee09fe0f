//! The operations of a request, and their results.

#![forbid(unsafe_code)]

use core::cell::Cell;

use memcache_engine::Instant;

/// The operations of a main request.
pub struct RequestStats {
    operations: Cell<u64>,
    hits: Cell<u64>,
    misses: Cell<u64>,
    /// The most severe result; of equal ones, the last.
    status: Cell<LoggedStatus>,
    pending: Cell<u64>,
    /// Since when there has been an operation pending, if there is one.
    since: Cell<Instant>,
    /// Microseconds in which at least one was pending.
    time: Cell<u64>,
}

/// Kinds of results, the most severe last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It was done.
    Fine,
    /// It found something.
    Hit,
    /// It found nothing, or a condition did not hold.
    Miss,
    /// It failed.
    Error,
}

/// A result, by severity, and the word for it.
#[derive(Clone, Copy)]
pub struct LoggedStatus {
    /// The most severe one is shown.
    pub severity: Severity,
    /// The word.
    pub word: &'static str,
}

impl RequestStats {
    /// Of a request without operations.
    pub fn new() -> RequestStats {
        RequestStats {
            operations: Cell::new(0),
            hits: Cell::new(0),
            misses: Cell::new(0),
            status: Cell::new(LoggedStatus { severity: Severity::Fine, word: "OK" }),
            pending: Cell::new(0),
            since: Cell::default(),
            time: Cell::new(0),
        }
    }

    /// A call with so many operations was accepted.
    pub fn begin(&self, operations: usize, now: Instant) {
        more(&self.operations, operations);
        if self.pending.get() == 0 {
            self.since.set(now);
        }
        more(&self.pending, 1);
    }

    /// It has ended.
    pub fn end(&self, now: Instant) {
        let pending = self.pending.get().saturating_sub(1);
        self.pending.set(pending);
        if pending == 0 {
            let micros = now.as_micros().saturating_sub(self.since.get().as_micros());
            self.time.set(self.time.get().saturating_add(micros));
        }
    }

    /// A call was refused at once.
    pub fn refused(&self, operations: usize, status: LoggedStatus) {
        more(&self.operations, operations);
        self.note(false, status);
    }

    /// One of its operations has this result. `reads`: it can hit or miss.
    pub fn note(&self, reads: bool, status: LoggedStatus) {
        match status.severity {
            Severity::Hit if reads => more(&self.hits, 1),
            Severity::Miss if reads => more(&self.misses, 1),
            _ => {}
        }
        if status.severity >= self.status.get().severity {
            self.status.set(status);
        }
    }

    /// The number of operations.
    pub fn operations(&self) -> u64 {
        self.operations.get()
    }

    /// Gets that found something.
    pub fn hits(&self) -> u64 {
        self.hits.get()
    }

    /// Gets that found nothing.
    pub fn misses(&self) -> u64 {
        self.misses.get()
    }

    /// Microseconds in which at least one operation was pending.
    pub fn micros(&self) -> u64 {
        self.time.get()
    }

    /// The most severe result.
    pub fn status(&self) -> LoggedStatus {
        self.status.get()
    }
}

fn more(number: &Cell<u64>, count: usize) {
    number.set(number.get().saturating_add(count as u64));
}
