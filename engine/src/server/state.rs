//! The structure of a server.

use std::num::NonZeroU32;

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
use crate::shared::{Setting, SharedHealth, SharedState, SharedSwitch, State};
use crate::stats::{Counters, Rest};
use crate::time::Instant;

/// A server, its connections, and the operations that wait for one.
///
/// Only this folder changes its fields: the client reports events and asks questions.
#[derive(Debug)]
pub(crate) struct Server {
    pub(super) id: ServerId,
    pub(super) settings: Settings,
    /// The number of this client among those of the server.
    pub(super) process: u32,
    pub(super) connections: Vec<ConnId>,
    /// The connection that got an operation last.
    pub(super) latest: Option<ConnId>,
    /// The number of these that are not ready yet.
    pub(super) connecting: usize,
    /// Operations that wait.
    pub(super) queue: Queue,
    pub(super) writes: PendingWrites,
    /// Bytes of values that are not written yet.
    pub(super) backlog: Backlog,
    pub(super) health: Health,
    /// The health that all clients of the server share.
    pub(super) shared_health: Memory<SharedHealth>,
    /// It is down here and was not declared down for others: they may know its addresses.
    pub(super) is_down_alone: bool,
    /// The shared state that this client has acted on.
    pub(super) seen_state: SharedState,
    /// What the operator wants, for all clients of its name.
    pub(super) shared_switch: Option<Memory<SharedSwitch>>,
    /// The switch that this client has acted on.
    pub(super) seen_setting: Setting,
    /// The time of its last answer.
    pub(super) answered_at: Instant,
    /// Its dialect, as far as it is known.
    pub(super) known: Known,
    pub(super) throttle: Throttle,
    /// The unwanted part of the replies.
    pub(super) waste: Waste,
    /// The address in use, and the state of the others.
    pub(super) addresses: Addresses,
    /// When maintenance is due.
    pub(super) maintenance_at: Option<Instant>,
    pub(super) counters: Memory<Counters>,
    pub(super) rest: Option<Rest>,
    /// Whether its gauges may have changed since they were published.
    pub(super) changed: bool,
}

impl Server {
    /// A server that counts as live and has no connections yet.
    pub fn new(id: ServerId, settings: Settings, memory: ServerMemory, process: u32, now: Instant) -> Self {
        let ServerMemory { counters, rest, shared_health, shared_switch } = memory;
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
            is_down_alone: false,
            seen_state: SharedState::default(),
            shared_switch,
            seen_setting: Setting::default(),
            answered_at: Instant::default(),
        }
    }

    /// How many seconds an item lives there at most, if it is a backup.
    #[inline]
    pub fn longest_life(&self) -> Option<NonZeroU32> {
        self.settings.longest_life
    }

    /// Whether it gets operations.
    #[inline]
    pub fn is_live(&self) -> bool {
        self.health.state() == State::Live
    }
}
