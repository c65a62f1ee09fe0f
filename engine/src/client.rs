//! The client of a cluster: a state machine with inputs, outputs and one timeout.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use slotmap::SlotMap;

use crate::config::{Config, ServerConfig};
use crate::connection::{Connection, Large, Stray, Undo, Waste};
use crate::front::batch::Gathered;
use crate::front::coalesce::Exchanges;
use crate::front::lease_wait::LeaseWaits;
use crate::id::{CallId, ConnId, ServerId};
use crate::operation::error::Error;
use crate::operation::reply::{Answer, Outcome, Part};
use crate::operation::request::Verb;
use crate::operation::work::Work;
use crate::route::subset::{Route, Subset};
use crate::server::backlog::Backlog;
use crate::server::health::Health;
use crate::server::queue::Queue;
use crate::server::throttle::Throttle;
use crate::shared::Verdict;
use crate::stats::Rest;
use crate::time::Instant;
use crate::timers::Timers;

mod address;
mod again;
mod batch;
mod cause;
mod check;
mod company;
mod event;
mod greet;
mod leave;
mod link;
mod memory;
mod order;
mod outcome;
mod pool;
mod share;
mod sizes;
mod state;
mod submit;
mod subset;
mod summary;
#[cfg(test)]
mod tests;
mod timeout;
mod turn;
mod view;
mod wait;

use address::At;
pub use cause::{Cause, Loss};
pub use event::{Event, Output};
pub use memory::{Company, ServerMemory};
use share::Leaver;
use state::{Call, Order, Owner, Place, Server, Task, Timer};
pub use submit::Rejected;
pub use summary::Summary;
use turn::Writes;
pub use view::ServerView;
use wait::Wait;

/// An operation that ended.
#[derive(Debug)]
pub struct Completion<T> {
    /// Which; the id is no longer valid.
    pub call: CallId,
    /// What was submitted with it.
    pub context: T,
    /// The server that it went to last; none, if it consists of others.
    pub server: ServerId,
    /// Its result.
    pub answer: Answer,
    /// Whether the key's own server was down and another one was asked. That one does not know what the key's own server
    /// has: a miss there says nothing of the item, and a version nothing of that server's.
    pub stand_in: bool,
}

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
/// bounded by the configuration. While much comes for nobody, requests are sent by and by, as replies come, and what is
/// cancelled before is never sent. What is submitted for one key to one server is carried out in that order:
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
    config: Config,
    /// That of all servers first. Invariant: never fewer, so a [`Subset`] stays what it is.
    routes: Vec<Route>,
    calls: SlotMap<CallId, Call<T>>,
    /// How many of them are nobody's.
    own: usize,
    connections: SlotMap<ConnId, Connection>,
    servers: Vec<Server>,
    timers: Timers<Timer>,
    outputs: VecDeque<Output>,
    writes: Writes,
    /// Operations that have their answer; some may be cancelled.
    completions: VecDeque<CallId>,
    /// Gets that share an exchange.
    exchanges: Exchanges,
    /// Bytes of values that batches hold.
    gathered: Gathered,
    /// Lease gets that wait for somebody to make the item.
    lease_waits: LeaseWaits,
    sizes: sizes::Sizes,
    rng: fastrand::Rng,
    /// Which of the servers' clients this is.
    who: u32,
    draining: bool,
    /// When the gauges were published.
    published: Instant,
    /// Memory of keys and read buffers that is used again.
    spare_keys: Vec<Vec<u8>>,
    spare_buffers: Vec<BytesMut>,
    large: Large,
}

impl<T> Client<T> {
    /// A client that opens each server's `min` connections at once. `seed` decides tokens and jitter.
    ///
    /// A timeout below a millisecond, or a pipeline of none, would be of no use and is taken for the least.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        Client::among(config, seed, Company::default(), now)
    }

    /// The same for one of several clients of these servers.
    pub fn among(mut config: Config, seed: u64, company: Company, now: Instant) -> Self {
        config.timeout = config.timeout.max(Duration::from_millis(1));
        config.pipeline = config.pipeline.max(1);
        let mut memory = company.servers.into_iter();
        let mut server = |_: &ServerConfig| {
            let ServerMemory { counters, rest, board } = memory.next().unwrap_or_default();
            Server {
                connections: Vec::new(),
                latest: None,
                connecting: 0,
                queue: Queue::default(),
                writes: order::Writes::default(),
                backlog: Backlog::default(),
                health: Health::new(now),
                passed: Bytes::new(),
                connects: Throttle::default(),
                waste: Waste::default(),
                at: At::default(),
                due: None,
                counters,
                rest: rest.map(Rest::new),
                touched: true,
                board,
                seen: Verdict::default(),
                answered_at: Instant::default(),
            }
        };
        let mut client = Client {
            routes: vec![Route::all(&config)],
            calls: SlotMap::with_key(),
            own: 0,
            connections: SlotMap::with_key(),
            servers: config.servers.iter().map(&mut server).collect(),
            timers: Timers::new(),
            outputs: VecDeque::new(),
            writes: Writes::default(),
            completions: VecDeque::new(),
            exchanges: Exchanges::default(),
            gathered: Gathered::default(),
            lease_waits: LeaseWaits::default(),
            sizes: sizes::Sizes::default(),
            rng: fastrand::Rng::with_seed(seed),
            who: company.who,
            draining: false,
            published: now,
            spare_keys: Vec::new(),
            spare_buffers: Vec::new(),
            large: Large::default(),
            config,
        };
        for server in 0..client.servers.len() {
            client.maintain(server, now);
        }
        client
    }

    /// Undoes what a lookup has done to what it does not find, or cannot use: gives a lease back that came to somebody who
    /// does not make the item, so that another caller gets it, and lets what was touched live as long as before.
    ///
    /// There are three of these at most for each lookup, and one where it touches nothing, as their own answers bring no
    /// lease; they take places in pipelines like all others, are counted, and keep no worker from its exit.
    fn hand_back(&mut self, id: ServerId, stray: Stray, now: Instant) {
        let Stray { key, undo } = stray;
        let work = match undo {
            Undo::Mark { cas, life } => Work::Keyed(Verb::Invalidate { ttl: life, cas }),
            Undo::Remove { cas } => Work::Keyed(Verb::Delete { cas }),
            Undo::Life { life, again } => Work::SetBack { life, again },
        };
        // Without the version, it could be somebody's new item that is marked or deleted.
        if work.compares_on_delete() && !self.compares_on_delete(id) {
            return;
        }
        // Without room now, the lease ends by itself, after the time that its asker chose.
        if let Some(target) = self.target(id, Some(&key), 0).connection() {
            let order = Order { key: Some(key), work, subset: Subset::ALL, home: id, server: id };
            let call = self.enter(Owner::Nobody, order, self.config.timeout, now);
            self.own = self.own.saturating_add(1);
            if let Some(server) = self.servers.get(id) {
                server.counters.stats.handed_back.bump();
            }
            self.place(call, id, Some(target), 0);
        }
    }

    /// The next operation that ended.
    pub fn poll_completion(&mut self) -> Option<Completion<T>> {
        loop {
            let id = self.completions.pop_front()?;
            let Some(call) = self.calls.remove(id) else { continue };
            let stand_in = call.is_moved();
            let Call { owner, key, task, server, .. } = call;
            self.release_gathered(&task);
            self.recycle(key);
            let Owner::Caller(context) = owner else { continue };
            let Task::Answer(answer) = task else { continue };
            return Some(Completion { call: id, context, server, answer, stand_in });
        }
    }

    /// What was submitted with an operation that has been neither handed out nor cancelled.
    pub fn context_mut(&mut self, id: CallId) -> Option<&mut T> {
        match &mut self.calls.get_mut(id)?.owner {
            Owner::Caller(context) => Some(context),
            Owner::Batch(..) | Owner::Nobody => None,
        }
    }

    /// Takes a server out of use, as if it were down but without probes, or back into it. What was sent is still
    /// answered. False: there is no such server.
    pub fn set_enabled(&mut self, id: ServerId, enabled: bool, now: Instant) -> bool {
        let Some(server) = self.servers.get_mut(id) else { return false };
        if server.health.set_disabled(!enabled, now) {
            server.touched = true;
            if !enabled {
                self.give_up_queue(id, now);
                self.close_idle(id);
            }
            self.maintain(id, now);
        }
        true
    }

    /// How many completions wait to be pulled, at most.
    pub fn completions(&self) -> usize {
        self.completions.len()
    }

    /// What the driver has to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Operations that were submitted and have neither been handed out nor cancelled. While there are any, a worker
    /// that exits has to wait for [`next_timeout`](Client::next_timeout). The client's own are not among them.
    pub fn pending(&self) -> usize {
        self.calls.len().saturating_sub(self.own)
    }

    /// As configured.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the connection is ready and nothing is under way on it.
    pub fn is_idle(&self, conn: ConnId) -> bool {
        self.connections.get(conn).is_some_and(Connection::is_idle)
    }

    /// An operation has its answer, unless it is one that waits on.
    fn complete(&mut self, id: CallId, answer: Answer, now: Instant) {
        // Only what a lease get is told can be a reason to wait on.
        let of_lease = matches!(answer, Ok(Outcome::Lease(_)) | Err(_));
        let wait = if of_lease { self.waits_on(id, &answer, now) } else { Wait::Ends };
        match wait {
            Wait::Ends => self.finish(id, answer, now),
            Wait::On => {}
            Wait::Full => {
                if let Some(server) = self.calls.get(id).and_then(|call| self.servers.get(call.server)) {
                    server.counters.stats.limits.queue.bump();
                }
                self.finish(id, Err(Error::Busy), now);
            }
        }
    }

    /// Ends an operation, and those that share its exchange.
    fn finish(&mut self, id: CallId, answer: Answer, now: Instant) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.place = Place::Done;
        let own = matches!(call.owner, Owner::Nobody);
        if let Some(server) = self.servers.get_mut(call.server) {
            server.backlog.remove(call.take_backlog());
            if let Some(hold) = call.hold.take() {
                server.writes.release(hold);
            }
            if !own {
                server.touched = true;
                server.counters.answered(&answer, call.work(), call.since, now);
            }
        }
        let stored =
            matches!(call.task, Task::Work(Work::Keyed(Verb::Store { .. }))) && matches!(answer, Ok(Outcome::Done));
        let group = call.group.take();
        if stored {
            self.stored(id, now);
        }
        if let Some(group) = group {
            self.finish_group(id, group, &answer, now);
        }
        self.answer(id, answer);
    }

    /// Puts an operation's answer where it is waited for.
    fn answer(&mut self, id: CallId, answer: Answer) {
        match self.calls.get_mut(id) {
            Some(call) if matches!(call.owner, Owner::Caller(_)) => {
                call.place = Place::Done;
                call.task = Task::Answer(answer);
                self.completions.push_back(id);
            }
            _ => self.pass_on(id, answer),
        }
    }

    /// The same for one that no caller waits for, but a batch, or nobody.
    fn pass_on(&mut self, id: CallId, answer: Answer) {
        let Some(call) = self.calls.remove(id) else { return };
        let stand_in = call.is_moved();
        self.recycle(call.key);
        match call.owner {
            Owner::Batch(whole, index) => {
                let dropped = !self.gather(whole, index, Part { answer, stand_in });
                if let Some(server) = self.servers.get_mut(call.server).filter(|_| dropped) {
                    server.counters.stats.errors.busy.bump();
                    server.touched = true;
                }
            }
            Owner::Nobody => self.own = self.own.saturating_sub(1),
            Owner::Caller(_) => {}
        }
    }
}
