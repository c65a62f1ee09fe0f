//! What a request has asked of memcached, and what came of it.

#![forbid(unsafe_code)]

use core::cell::Cell;

use memcache_engine::Instant;

/// What a main request has asked of memcached.
pub struct RequestStats {
    operations: Cell<u64>,
    hits: Cell<u64>,
    misses: Cell<u64>,
    /// The most severe of what the operations came to, the last one of these.
    status: Cell<LoggedStatus>,
    pending: Cell<u64>,
    /// Since when there has been an operation pending, if there is one.
    since: Cell<Instant>,
    /// Microseconds in which at least one was pending.
    time: Cell<u64>,
}

/// What an operation came to, the most severe last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It did what it should.
    Fine,
    /// It found something.
    Hit,
    /// It found nothing, or a condition did not hold.
    Miss,
    /// It failed.
    Error,
}

/// How severe, and the word for it.
#[derive(Clone, Copy)]
pub struct LoggedStatus {
    /// What decides which one is shown.
    pub severity: Severity,
    /// What is shown.
    pub word: &'static str,
}

impl RequestStats {
    /// That of a request that has asked for nothing yet.
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

    /// What one of its operations came to. `reads`: it is one that hits or misses.
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

    /// Operations that it has asked for.
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

    /// The most severe of what the operations came to.
    pub fn status(&self) -> LoggedStatus {
        self.status.get()
    }
}

fn more(number: &Cell<u64>, count: usize) {
    number.set(number.get().saturating_add(count as u64));
}
