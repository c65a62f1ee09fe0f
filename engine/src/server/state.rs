//! A server as a client knows it.

use bytes::Bytes;

use super::address::At;
use super::backlog::Backlog;
use super::health::Health;
use super::memory::ServerMemory;
use super::pending_writes::PendingWrites;
use super::queue::Queue;
use super::throttle::Throttle;
use crate::connection::Waste;
use crate::id::ConnId;
use crate::metrics::counter::Memory;
use crate::operation::work::Work;
use crate::protocol::dialect::Dialect;
use crate::shared::{SharedHealth, State, Verdict};
use crate::stats::{Counters, Rest};
use crate::time::Instant;

/// A server, its connections, and the operations that wait for one.
#[derive(Debug)]
pub(crate) struct Server {
    pub connections: Vec<ConnId>,
    /// The one that got an operation last.
    pub latest: Option<ConnId>,
    /// How many of them are not ready yet.
    pub connecting: usize,
    /// Operations that wait.
    pub queue: Queue,
    pub writes: PendingWrites,
    /// Bytes of values that are not written yet.
    pub backlog: Backlog,
    pub health: Health,
    /// What all clients of the server know together.
    pub shared_health: Memory<SharedHealth>,
    /// Of that, what this client has acted on.
    pub seen: Verdict,
    /// When it has answered last.
    pub answered_at: Instant,
    /// What it speaks, as far as it has said so.
    pub dialect: Dialect,
    /// The version text with which it has passed a whole greeting since it went down last; empty: it has not.
    pub passed: Bytes,
    pub connects: Throttle,
    /// How much of what it sends is unwanted.
    pub waste: Waste,
    /// Which of its addresses it is asked at.
    pub at: At,
    /// When maintenance is due.
    pub due: Option<Instant>,
    pub counters: Memory<Counters>,
    pub rest: Option<Rest>,
    /// Whether its gauges may have changed since they were published.
    pub touched: bool,
}

impl Server {
    /// One that is taken to be live, and has no connections yet.
    pub fn new(memory: ServerMemory, now: Instant) -> Self {
        let ServerMemory { counters, rest, shared_health } = memory;
        Server {
            connections: Vec::new(),
            latest: None,
            connecting: 0,
            queue: Queue::default(),
            writes: PendingWrites::default(),
            backlog: Backlog::default(),
            health: Health::new(now),
            dialect: Dialect::default(),
            passed: Bytes::new(),
            connects: Throttle::default(),
            waste: Waste::default(),
            at: At::default(),
            due: None,
            counters,
            rest: rest.map(Rest::new),
            touched: true,
            shared_health,
            seen: Verdict::default(),
            answered_at: Instant::default(),
        }
    }

    /// Whether it can do that, as far as it has said what it is.
    #[inline]
    pub fn supports(&self, work: &Work) -> bool {
        self.dialect.supports(work, || self.counters.gauges.version())
    }

    pub fn is_live(&self) -> bool {
        self.health.state() == State::Live
    }
}
