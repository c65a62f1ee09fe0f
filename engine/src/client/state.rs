//! The client: what it knows, and what a driver may ask at any time.

use std::collections::VecDeque;
use std::time::Duration;

use slotmap::SlotMap;

use super::call::{Call, Owner};
use crate::config::Config;
use crate::connection::{Connection, Phase};
use crate::front::batch::Gathered;
use crate::front::coalesce::Exchanges;
use crate::front::large_items::LargeItems;
use crate::front::lease_wait::LeaseWaits;
use crate::id::{CallId, ConnId};
use crate::network::{Network, Output};
use crate::route::subset::Routes;
use crate::server::{Server, Settings, WorkerMemory};
use crate::time::Instant;

/// The client of one cluster in one worker, without I/O. `T` is what the driver wants back with each answer.
///
/// **Inputs** tell the client what happened and what time it is: [`submit`](Client::submit),
/// [`submit_to`](Client::submit_to), [`submit_many`](Client::submit_many), [`cancel`](Client::cancel),
/// [`connected`](Client::connected), [`received`](Client::received), [`written`](Client::written), [`closed`](Client::closed),
/// [`timeout`](Client::timeout), [`drain`](Client::drain). None of them calls back, none blocks, each may come at any
/// time and in any order; an id that is not valid any more is ignored.
///
/// **Outputs** are pulled by the driver. After every input, [`poll_output`](Client::poll_output) until `None`; then,
/// once per turn of its event loop rather than after every input, so that the operations of many requests share one
/// write: [`poll_completion`](Client::poll_completion); then, unless it says to
/// [`put_off_writes`](Client::put_off_writes), [`poll_dirty`](Client::poll_dirty) with [`transmit`](Client::transmit) and
/// [`written`](Client::written) for each; and at last a timer for [`next_timeout`](Client::next_timeout).
///
/// **Promises.** Every operation that was accepted and not cancelled completes exactly once, at its deadline at the
/// latest (given calls of `timeout`). The deadline of one without a time of its own is put off while large values come
/// or go on its connection, [`PATIENCE`](crate::PATIENCE) times at most. It gets its own reply or an error, never a byte of another's. What waits is
/// bounded by the configuration. While many replies are unwanted, requests are sent gradually, as replies come, and
/// what is cancelled before it is sent never is. What is submitted for one key to one server is carried out in that order:
///
/// - An operation goes behind each write of its key that has no answer yet, on the same connection, also through the queue,
///   a second try, and where one get takes over the exchange of another. So a read sees every write that was submitted
///   before it, and of two writes the later one stays.
/// - A read that is under way may see a write that was submitted after it.
/// - An operation that ended without an answer (it timed out, was cancelled, or its connection was lost) and may have been
///   applied may be later, behind others.
/// - A lease get that waits for somebody else is submitted anew each time it asks.
/// - There is no order between keys, between operations on servers (`flush_all`) and others, between clients, and between a
///   server and one that stands in for it.
#[derive(Debug)]
pub struct Client<T> {
    pub(super) config: Config,
    pub(super) routes: Routes,
    pub(super) calls: SlotMap<CallId, Call<T>>,
    /// How many of them are the client's own.
    pub(super) internal: usize,
    pub(super) network: Network,
    pub(super) servers: Vec<Server>,
    /// Operations that have their answer; some may be cancelled.
    pub(super) completions: VecDeque<CallId>,
    /// Gets that share an exchange.
    pub(super) exchanges: Exchanges,
    /// Bytes of values that batches hold.
    pub(super) gathered: Gathered,
    /// Lease gets that wait for somebody to make the item.
    pub(super) lease_waits: LeaseWaits,
    pub(super) large_items: LargeItems,
    /// When the gauges were published.
    pub(super) published: Instant,
    /// Memory of keys that is used again.
    pub(super) spare_keys: Vec<Vec<u8>>,
}

impl<T> Client<T> {
    /// A client that opens each server's `min` connections at once. `seed` decides tokens and jitter.
    ///
    /// A timeout below a millisecond, or a pipeline of none, would be of no use and is taken for the least.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        Client::among(config, seed, WorkerMemory::default(), now)
    }

    /// The same for one of several clients of these servers.
    pub fn among(mut config: Config, seed: u64, worker_memory: WorkerMemory, now: Instant) -> Self {
        config.timeout = config.timeout.max(Duration::from_millis(1));
        config.pipeline = config.pipeline.max(1);
        let mut memory = worker_memory.servers.into_iter();
        let process = worker_memory.process;
        let server = |(id, server)| {
            Server::new(id, Settings::new(&config, server), memory.next().unwrap_or_default(), process, now)
        };
        let mut client = Client {
            routes: Routes::new(&config),
            calls: SlotMap::with_key(),
            internal: 0,
            network: Network::new(seed),
            servers: config.servers.iter().enumerate().map(server).collect(),
            completions: VecDeque::new(),
            exchanges: Exchanges::default(),
            gathered: Gathered::default(),
            lease_waits: LeaseWaits::default(),
            large_items: LargeItems::default(),
            published: now,
            spare_keys: Vec::new(),
            config,
        };
        for server in 0..client.servers.len() {
            client.maintain(server, now);
        }
        client
    }

    /// What was submitted with an operation that has been neither handed out nor cancelled.
    pub fn context_mut(&mut self, id: CallId) -> Option<&mut T> {
        match &mut self.calls.get_mut(id)?.owner {
            Owner::Caller(context) => Some(context),
            Owner::Batch(..) | Owner::Internal => None,
        }
    }

    /// How many completions wait to be pulled, at most.
    pub fn completions(&self) -> usize {
        self.completions.len()
    }

    /// What the driver has to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.network.outputs.pop_front()
    }

    /// Operations that were submitted and have neither been handed out nor cancelled. While there are any, a worker
    /// that exits has to wait for [`next_timeout`](Client::next_timeout). The client's own are not among them.
    pub fn pending(&self) -> usize {
        self.calls.len().saturating_sub(self.internal)
    }

    /// As configured.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the connection is ready and nothing is under way on it.
    pub fn is_idle(&self, conn: ConnId) -> bool {
        self.network.connections.get(conn).is_some_and(Connection::is_idle)
    }

    /// Whether the connection has passed its greeting.
    pub fn is_ready(&self, conn: ConnId) -> bool {
        self.network.connections.get(conn).is_some_and(|connection| connection.phase == Phase::Ready)
    }
}
