//! A server as a client knows it.

use super::addresses::Addresses;
use super::backlog::Backlog;
use super::health::Health;
use super::memory::ServerMemory;
use super::pending_writes::PendingWrites;
use super::queue::Queue;
use super::settings::Settings;
use super::throttle::Throttle;
use crate::connection::Waste;
use crate::id::{ConnId, ServerId};
use crate::metrics::counter::Memory;
use crate::protocol::known::Known;
use crate::shared::{SharedHealth, SharedState, State};
use crate::stats::{Counters, Rest};
use crate::time::Instant;

/// A server, its connections, and the operations that wait for one.
///
/// All of it changes in this room alone: the client says what has happened, and asks.
#[derive(Debug)]
pub(crate) struct Server {
    pub(super) id: ServerId,
    pub(super) settings: Settings,
    /// Tells this client of the server from the others.
    pub(super) process: u32,
    pub(super) connections: Vec<ConnId>,
    /// The one that got an operation last.
    pub(super) latest: Option<ConnId>,
    /// How many of them are not ready yet.
    pub(super) connecting: usize,
    /// Operations that wait.
    pub(super) queue: Queue,
    pub(super) writes: PendingWrites,
    /// Bytes of values that are not written yet.
    pub(super) backlog: Backlog,
    pub(super) health: Health,
    /// What all clients of the server know together.
    pub(super) shared_health: Memory<SharedHealth>,
    /// Of that, what this client has acted on.
    pub(super) seen_state: SharedState,
    /// When it has answered last.
    pub(super) answered_at: Instant,
    /// What is known of how it speaks.
    pub(super) known: Known,
    pub(super) throttle: Throttle,
    /// How much of what it sends is unwanted.
    pub(super) waste: Waste,
    /// Which of its addresses it is asked at.
    pub(super) addresses: Addresses,
    /// When maintenance is due.
    pub(super) maintenance_at: Option<Instant>,
    pub(super) counters: Memory<Counters>,
    pub(super) rest: Option<Rest>,
    /// Whether its gauges may have changed since they were published.
    pub(super) changed: bool,
}

impl Server {
    /// One that is taken to be live, and has no connections yet.
    pub fn new(id: ServerId, settings: Settings, memory: ServerMemory, process: u32, now: Instant) -> Self {
        let ServerMemory { counters, rest, shared_health } = memory;
        Server {
            id,
            settings,
            process,
            connections: Vec::new(),
            latest: None,
            connecting: 0,
            queue: Queue::default(),
            writes: PendingWrites::default(),
            backlog: Backlog::default(),
            health: Health::new(now),
            known: Known::new(settings.protocol),
            throttle: Throttle::default(),
            waste: Waste::default(),
            addresses: Addresses::default(),
            maintenance_at: None,
            counters,
            rest: rest.map(Rest::new),
            changed: true,
            shared_health,
            seen_state: SharedState::default(),
            answered_at: Instant::default(),
        }
    }

    /// Whether operations are sent to it.
    #[inline]
    pub fn is_live(&self) -> bool {
        self.health.state() == State::Live
    }
}
