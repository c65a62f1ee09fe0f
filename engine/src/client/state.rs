//! The structure of the client.

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
use crate::front::modules::Modules;
use crate::id::{CallId, ConnId};
use crate::limits::MAX_BACKUP_TTL;
use crate::network::{Network, Output};
use crate::route::subset::Routes;
use crate::server::{Places, Server, Settings, WorkerMemory};
use crate::time::Instant;

/// The client of one cluster in one worker, without I/O. The driver gets `T` back with each answer.
///
/// **Inputs** report events and the time: [`submit`](Client::submit), [`submit_to`](Client::submit_to),
/// [`submit_many`](Client::submit_many), [`cancel`](Client::cancel), [`connected`](Client::connected),
/// [`received`](Client::received), [`written`](Client::written), [`closed`](Client::closed),
/// [`timeout`](Client::timeout), [`set_servers`](Client::set_servers), [`set_addresses`](Client::set_addresses),
/// [`unresolved`](Client::unresolved), [`drain`](Client::drain). None of them calls back or blocks. They may come at any time
/// and in any order. An invalid id is ignored.
///
/// **Outputs** are pulled by the driver. After every input it calls [`poll_output`](Client::poll_output) until `None`.
/// Once per turn of its event loop, so that the operations of many requests share one write, it calls
/// [`poll_completion`](Client::poll_completion) until `None`. Then, unless [`put_off_writes`](Client::put_off_writes)
/// returns true, it calls [`poll_dirty`](Client::poll_dirty) until `None`, with [`transmit`](Client::transmit) and
/// [`written`](Client::written) for each connection. At last it sets a timer for
/// [`next_timeout`](Client::next_timeout).
///
/// **Promises.** Every operation that was accepted and not cancelled completes exactly once, at its deadline at the
/// latest (given calls of `timeout`). If it has no timeout of its own, its deadline is put off while large values move
/// on its connection, [`PATIENCE`](crate::PATIENCE) times at most. It gets its own reply or an error, never a byte of
/// another's. The configuration bounds the number of operations that wait. While many replies are unwanted, requests
/// are sent gradually, as replies come. An operation that is cancelled before it is sent is never sent. Operations on
/// one key and one server are carried out in the order of submission:
///
/// - An operation goes behind each write of its key that has no answer yet, on the same connection, also through the queue,
///   a second try, and where one get takes over the exchange of another. So a read sees every write that was submitted
///   before it, and of two writes the later one stays.
/// - A pending read may see a write that was submitted after it.
/// - An operation that ended without an answer (it timed out, was cancelled, or its connection was lost) and may have been
///   applied may be later, behind others.
/// - A lease get that waits for another client's item is submitted anew each time it asks.
/// - There is no order between keys, between operations on servers (`flush_all`) and others, between clients, and between a
///   server and one that stands in for it.
/// - While the list of servers changes, a key may move to another server. Operations on it that were submitted before go to
///   the former one and later ones to the new one, so a later read may not see an earlier write. Where the former one has
///   left the list, operations of which nothing was sent follow, in their order. A key whose server stays keeps the order
///   through the change, and so does the key of a server that leaves and returns before its last connection is closed.
#[derive(Debug)]
pub struct Client<T> {
    pub(super) config: Config,
    pub(super) routes: Routes,
    pub(super) calls: SlotMap<CallId, Call<T>>,
    /// The number of internal operations.
    pub(super) internal: usize,
    pub(super) network: Network,
    pub(super) servers: Places,
    /// The version of the list.
    pub(super) version: u64,
    /// The number of this client among those of its servers.
    pub(super) process: u32,
    /// Completed operations. Some may be cancelled.
    pub(super) completions: VecDeque<CallId>,
    /// Gets that share an exchange.
    pub(super) exchanges: Exchanges,
    /// The modules that ask.
    pub(super) modules: Modules,
    /// Bytes of values that batches hold.
    pub(super) gathered: Gathered,
    /// Lease gets that wait for an item.
    pub(super) lease_waits: LeaseWaits,
    pub(super) large_items: LargeItems,
    /// The time when the gauges were published.
    pub(super) published: Instant,
    /// Whether it looks for changes of the operator's switches.
    pub(super) watches: bool,
    /// Memory of keys, for later keys.
    pub(super) spare_keys: Vec<Vec<u8>>,
}

impl<T> Client<T> {
    /// A client that opens each server's `min` connections at once. `seed` determines tokens and jitter.
    ///
    /// A timeout below a millisecond, a pipeline of 0 and a `backup_ttl` of 0 are raised to the least useful value.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        Client::among(config, seed, WorkerMemory::default(), now)
    }

    /// The same for one of several clients of these servers.
    pub fn among(mut config: Config, seed: u64, worker_memory: WorkerMemory, now: Instant) -> Self {
        config.timeout = config.timeout.max(Duration::from_millis(1));
        config.pipeline = config.pipeline.max(1);
        config.backup_ttl = config.backup_ttl.clamp(1, MAX_BACKUP_TTL);
        let mut memory = worker_memory.servers.into_iter();
        let process = worker_memory.process;
        let mut servers = Places::default();
        for (id, server) in config.servers.iter().enumerate() {
            let memory = memory.next().unwrap_or_default();
            servers.add(server.clone(), Server::new(id, Settings::new(&config, server), memory, process, now));
        }
        let mut client = Client {
            routes: Routes::new(&config),
            calls: SlotMap::with_key(),
            internal: 0,
            network: Network::new(seed),
            servers,
            version: 0,
            process,
            completions: VecDeque::new(),
            exchanges: Exchanges::default(),
            modules: Modules::new(config.pipeline),
            gathered: Gathered::default(),
            lease_waits: LeaseWaits::default(),
            large_items: LargeItems::default(),
            published: now,
            watches: false,
            spare_keys: Vec::new(),
            config,
        };
        for server in 0..client.servers.len() {
            client.maintain(server, now);
        }
        client.watch_switches(now);
        client
    }

    /// The value that was submitted with an operation that was neither handed out nor cancelled.
    pub fn context_mut(&mut self, id: CallId) -> Option<&mut T> {
        match &mut self.calls.get_mut(id)?.owner {
            Owner::Caller(context) => Some(context),
            Owner::Batch(..) | Owner::Internal => None,
        }
    }

    /// The most completions that can be pulled now.
    pub fn completions(&self) -> usize {
        self.completions.len()
    }

    /// The driver's next task.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.network.outputs.pop_front()
    }

    /// The number of submitted operations that were neither handed out nor cancelled, without internal ones. While
    /// there are any, a worker that exits has to wait for [`next_timeout`](Client::next_timeout).
    pub fn pending(&self) -> usize {
        self.calls.len().saturating_sub(self.internal)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the connection is ready and nothing is under way on it.
    pub fn is_idle(&self, conn: ConnId) -> bool {
        self.network.connections.get(conn).is_some_and(Connection::is_idle)
    }

    /// Whether the connection has passed its greeting.
    pub fn is_ready(&self, conn: ConnId) -> bool {
        self.network.connections.get(conn).is_some_and(|connection| connection.phase() == Phase::Ready)
    }
}
