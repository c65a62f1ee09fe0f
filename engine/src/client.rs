//! The client of a cluster: a state machine with inputs, outputs and one timeout.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::BytesMut;
use slotmap::{Key as _, KeyData, SlotMap};

use crate::config::{Config, Failover, ServerConfig, MAX_TIMEOUT};
use crate::connection::{Connection, Phase, Stray};
use crate::error::Error;
use crate::health::Health;
use crate::key::Key;
use crate::reply::{Answer, Lease, Outcome};
use crate::request::{Request, ServerVerb, Verb};
use crate::route::Router;
use crate::stats::{bump, Stats};
use crate::throttle::Throttle;
use crate::time::Instant;
use crate::timers::Timers;

mod event;
mod link;
mod outcome;
mod pool;
mod share;
mod state;
#[cfg(test)]
mod tests;
mod timeout;
mod wait;

pub use event::{Cause, Event, Loss, Output};
pub use state::ServerView;
pub(crate) use state::Work;
use state::{Call, Place, Server, Timer};
use wait::Waiting;

/// A server: its place in [`Config::servers`].
pub type ServerId = usize;

slotmap::new_key_type! {
    /// An operation that was submitted. It is never valid again for another one.
    pub struct CallId;

    /// A connection, from [`Output::Open`] until [`Output::Close`] or [`Client::closed`].
    pub struct ConnId;
}

macro_rules! as_number {
    ($($id:ident)*) => {$(
        impl $id {
            /// As a number, never 0.
            pub fn to_u64(self) -> u64 {
                self.data().as_ffi()
            }

            /// From any number; one that never was an id is unknown to the client.
            pub fn from_u64(number: u64) -> Self {
                KeyData::from_ffi(number).into()
            }
        }
    )*};
}

as_number!(CallId ConnId);

/// An operation that was not accepted.
#[derive(Debug)]
pub struct Rejected<T> {
    /// Why.
    pub error: Error,
    /// What was submitted with it.
    pub context: T,
}

/// An operation that ended.
#[derive(Debug)]
pub struct Completion<T> {
    /// Which; the id is no longer valid.
    pub call: CallId,
    /// What was submitted with it.
    pub context: T,
    /// Its result.
    pub answer: Answer,
}

/// The client of one cluster in one worker, without I/O. `T` is what the driver wants back with each answer.
///
/// **Inputs** tell the client what happened and what time it is: [`submit`](Client::submit),
/// [`submit_to`](Client::submit_to), [`cancel`](Client::cancel), [`connected`](Client::connected),
/// [`received`](Client::received), [`written`](Client::written), [`closed`](Client::closed),
/// [`timeout`](Client::timeout), [`drain`](Client::drain). None of them calls back, none blocks, each may come at any
/// time and in any order; an id that is not valid any more is ignored.
///
/// **Outputs** are pulled by the driver. After every input, [`poll_output`](Client::poll_output) until `None`; then,
/// once per turn of its event loop rather than after every input, so that the operations of many requests share one
/// write: [`poll_completion`](Client::poll_completion), then [`poll_dirty`](Client::poll_dirty) with
/// [`transmit`](Client::transmit) and [`written`](Client::written) for each; and at last a timer for
/// [`next_timeout`](Client::next_timeout).
///
/// **Promises.** Every operation that was accepted and not cancelled completes exactly once, at its deadline at the
/// latest (given calls of `timeout`). It gets its own reply or an error, never a byte of another's. What waits is
/// bounded by the configuration.
#[derive(Debug)]
pub struct Client<T> {
    config: Config,
    router: Router,
    calls: SlotMap<CallId, Call<T>>,
    connections: SlotMap<ConnId, Connection>,
    servers: Vec<Server>,
    timers: Timers<Timer>,
    outputs: VecDeque<Output>,
    dirty: VecDeque<ConnId>,
    completions: VecDeque<(CallId, Answer)>,
    /// The get under way that others of its key share the exchange of.
    leaders: HashMap<Vec<u8>, CallId>,
    /// Lease gets that wait for somebody to make the item.
    waiting: HashMap<Vec<u8>, Waiting>,
    rng: fastrand::Rng,
    draining: bool,
    /// Memory of keys and read buffers that is used again.
    spare_keys: Vec<Vec<u8>>,
    spare_buffers: Vec<BytesMut>,
}

impl<T> Client<T> {
    /// A client that opens each server's `min` connections at once. `seed` decides tokens and jitter.
    ///
    /// A timeout below a millisecond, or a pipeline of none, would be of no use and is taken for the least.
    pub fn new(mut config: Config, seed: u64, now: Instant) -> Self {
        config.timeout = config.timeout.max(Duration::from_millis(1));
        config.pipeline = config.pipeline.max(1);
        let server = |_: &ServerConfig| Server {
            connections: Vec::new(),
            connecting: 0,
            queue: VecDeque::new(),
            queued: 0,
            backlog: 0,
            health: Health::new(now),
            connects: Throttle::default(),
            address: 0,
            refused: 0,
            due: None,
            stats: Stats::default(),
        };
        let mut client = Client {
            router: Router::new(&config),
            calls: SlotMap::with_key(),
            connections: SlotMap::with_key(),
            servers: config.servers.iter().map(server).collect(),
            timers: Timers::new(),
            outputs: VecDeque::new(),
            dirty: VecDeque::new(),
            completions: VecDeque::new(),
            leaders: HashMap::new(),
            waiting: HashMap::new(),
            rng: fastrand::Rng::with_seed(seed),
            draining: false,
            spare_keys: Vec::new(),
            spare_buffers: Vec::new(),
            config,
        };
        for server in 0..client.servers.len() {
            client.maintain(server, now);
        }
        client
    }

    /// Accepts an operation, which will be completed or cancelled, or says why not, at once.
    pub fn submit(&mut self, request: Request<'_>, context: T, now: Instant) -> Result<CallId, Rejected<T>> {
        let Request { key, verb, timeout } = request;
        let spare = self.spare_keys.pop().unwrap_or_default();
        let key = match Key::new(&self.config.prefix, key, spare) {
            Ok(key) => key,
            Err(error) => return Err(Rejected { error: error.into(), context }),
        };
        let home = self.router.route(key.raw());
        let server = self.stand_in(home, &key).unwrap_or(home);
        if server != home {
            if let Some(home) = self.servers.get_mut(home) {
                bump(&mut home.stats.failed_over);
            }
        }
        self.accept(server, Work::Keyed(key, verb), timeout, context, now)
    }

    /// The server that has this key, whether or not it is up.
    pub fn server_of(&self, key: &[u8]) -> Result<ServerId, Error> {
        let key = Key::new(&self.config.prefix, key, Vec::new())?;
        Ok(self.router.route(key.raw()))
    }

    /// Accepts an operation on a server itself, as [`submit`](Client::submit) does one on a key.
    pub fn submit_to(
        &mut self,
        server: ServerId,
        verb: ServerVerb,
        timeout: Option<Duration>,
        context: T,
        now: Instant,
    ) -> Result<CallId, Rejected<T>> {
        self.accept(server, Work::Server(verb), timeout, context, now)
    }

    fn accept(
        &mut self,
        id: ServerId,
        work: Work,
        timeout: Option<Duration>,
        context: T,
        now: Instant,
    ) -> Result<CallId, Rejected<T>> {
        let leader = self.leader_of(&work);
        let size = work.value_len();
        let limit = self.config.max_value;
        let target = self.pick(id);
        let Some(server) = self.servers.get_mut(id) else {
            return Err(Rejected { error: Error::NoSuchServer, context });
        };
        let live = server.is_live();
        let limits = &mut server.stats.limits;
        let error = if size > limit {
            Some(Error::TooLarge { size, limit })
        } else if !live {
            Some(Error::ServerDown)
        } else if leader.is_none() && target.is_none() && server.queued >= self.config.queue {
            bump(&mut limits.queue);
            Some(Error::Busy)
        } else if server.backlog.saturating_add(size) > crate::MAX_BACKLOG {
            bump(&mut limits.backlog);
            Some(Error::Busy)
        } else {
            None
        };
        if let Some(error) = error {
            server.stats.failed_with(&error);
            return Err(Rejected { error, context });
        }
        let max = self.config.servers.get(id).map_or(0, |config| config.pool.max() as usize);
        if leader.is_none() && target.is_none() && server.connections.len() >= max && server.connecting == 0 {
            bump(&mut server.stats.limits.pipeline);
        }
        server.stats.accepted(&work);
        server.backlog = server.backlog.saturating_add(size);
        let timeout = timeout.unwrap_or(self.config.timeout).min(MAX_TIMEOUT);
        let call = self.enter(Some(context), work, id, timeout, now);
        match leader {
            Some(leader) => self.follow(call, leader),
            None => {
                self.mark(call);
                self.place(call, id, target);
                self.grow(id, now);
            }
        }
        Ok(call)
    }

    /// The server that stands in for this one, if it is down and the configuration wants that.
    fn stand_in(&self, home: ServerId, key: &Key) -> Option<ServerId> {
        let live = |id: ServerId| self.servers.get(id).is_some_and(Server::is_live);
        if self.config.failover == Failover::Off || live(home) {
            return None;
        }
        self.router.stand_in(key.raw(), live)
    }

    fn enter(&mut self, context: Option<T>, work: Work, server: ServerId, timeout: Duration, now: Instant) -> CallId {
        let deadline = now.after(timeout);
        let call = Call {
            context,
            backlog: work.value_len(),
            work: Some(work),
            server,
            place: Place::Queued,
            timeout,
            deadline,
            retried: false,
            followers: Vec::new(),
        };
        let call = self.calls.insert(call);
        self.timers.insert(deadline, Timer::Call(call));
        call
    }

    /// Gives a lease back that came to somebody who does not make the item, so that another caller gets it.
    fn hand_back(&mut self, id: ServerId, stray: Stray, now: Instant) {
        let Stray { key, cas, vacant } = stray;
        let verb = if vacant { Verb::Delete { cas } } else { Verb::Invalidate { ttl: None, cas } };
        // Without room now, the lease ends by itself, after the time that its asker chose.
        if let Some(target) = self.pick(id) {
            let call = self.enter(None, Work::Keyed(key, verb), id, self.config.timeout, now);
            self.place(call, id, Some(target));
        }
    }

    /// The lease of an operation that is cancelled when it had won, and before it was told so.
    fn untold(&self, id: CallId, work: Option<&Work>) -> Option<Stray> {
        let key = work?.key()?.clone();
        let (_, answer) = self.completions.iter().find(|(call, _)| *call == id)?;
        let &Ok(Outcome::Lease(Lease::Won { cas, stale, ref old })) = answer else { return None };
        (stale || old.is_none()).then_some(Stray { key, cas, vacant: !stale })
    }

    /// Takes an operation back: it will not complete. `None`: there is no such operation, or it has completed and was
    /// handed out. The server may carry it out all the same.
    pub fn cancel(&mut self, id: CallId, now: Instant) -> Option<T> {
        let mut call = self.calls.remove(id)?;
        match call.place {
            Place::Done => {
                if let Some(stray) = self.untold(id, call.work.as_ref()) {
                    self.hand_back(call.server, stray, now);
                }
            }
            _ => self.unqueue(id, call.work.as_ref(), now),
        }
        let followers = std::mem::take(&mut call.followers);
        if followers.is_empty() || !self.hand_over(id, call.place, followers, now) {
            let overdue = call.deadline.after(call.timeout);
            self.leave(call.server, call.place, call.backlog, overdue, now);
            if let Some(work) = &call.work {
                self.unmark(id, work);
            }
        }
        if let Some(server) = self.servers.get_mut(call.server) {
            server.stats.cancelled();
        }
        self.recycle(call.work);
        call.context
    }

    /// The next operation that ended.
    pub fn poll_completion(&mut self) -> Option<Completion<T>> {
        loop {
            let (id, answer) = self.completions.pop_front()?;
            if let Some(context) = self.calls.remove(id).and_then(|call| call.context) {
                return Some(Completion { call: id, context, answer });
            }
        }
    }

    /// Takes a server out of use, as if it were down but without probes, or back into it. What was sent is still
    /// answered. False: there is no such server.
    pub fn set_enabled(&mut self, id: ServerId, enabled: bool, now: Instant) -> bool {
        let Some(server) = self.servers.get_mut(id) else { return false };
        if server.health.set_disabled(!enabled, now) {
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
    /// that exits has to wait for [`next_timeout`](Client::next_timeout).
    pub fn pending(&self) -> usize {
        self.calls.len()
    }

    /// As configured.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether the connection is ready and nothing is under way on it.
    pub fn is_idle(&self, conn: ConnId) -> bool {
        self.connections.get(conn).is_some_and(Connection::is_idle)
    }

    /// A server as it is now.
    pub fn server(&self, id: ServerId) -> Option<ServerView<'_>> {
        let (server, config) = self.servers.get(id).zip(self.config.servers.get(id))?;
        let ready = || {
            let connections = server.connections.iter().filter_map(|&conn| self.connections.get(conn));
            connections.filter(|c| c.phase == Phase::Ready)
        };
        let idle = ready().filter(|c| c.load() == 0).count();
        let open = ready().count();
        Some(ServerView {
            config,
            state: server.health.state(),
            since: server.health.since(),
            open,
            connecting: server.connecting,
            idle,
            busy: open.saturating_sub(idle),
            pending: ready().map(Connection::load).sum(),
            queued: server.queued,
            stats: &server.stats,
        })
    }

    /// An operation has its answer, unless it is one that waits on.
    fn complete(&mut self, id: CallId, answer: Answer, now: Instant) {
        // Only what a lease get is told can be a reason to wait on.
        let of_lease = matches!(answer, Ok(Outcome::Lease(_)) | Err(_));
        if !of_lease || !self.waits_on(id, &answer, now) {
            self.finish(id, answer, now);
        }
    }

    /// Ends an operation, and those that share its exchange.
    fn finish(&mut self, id: CallId, answer: Answer, now: Instant) {
        let Some(call) = self.calls.get_mut(id) else { return };
        call.place = Place::Done;
        let own = call.context.is_none();
        let (work, followers) = (call.work.take(), std::mem::take(&mut call.followers));
        if let Some(server) = self.servers.get_mut(call.server) {
            server.backlog = server.backlog.saturating_sub(std::mem::take(&mut call.backlog));
            if !own {
                server.stats.answered(&answer, work.as_ref().is_some_and(Work::is_get));
            }
        }
        if let Some(work) = work {
            self.after(id, work, &answer, now);
        }
        for follower in followers {
            if self.calls.get(follower).is_some_and(|call| call.place == Place::Following(id)) {
                self.finish(follower, answer.clone(), now);
            }
        }
        if own {
            self.calls.remove(id);
        } else {
            self.completions.push_back((id, answer));
        }
    }

    /// What else follows from the answer to an operation.
    fn after(&mut self, id: CallId, work: Work, answer: &Answer, now: Instant) {
        match (&work, answer) {
            (Work::Keyed(key, Verb::Store { .. }), Ok(Outcome::Done)) => self.stored(key.raw(), now),
            // The key of a lease is needed as long as that may have to be handed back.
            (_, Ok(Outcome::Lease(Lease::Won { .. }))) => {
                if let Some(call) = self.calls.get_mut(id) {
                    call.work = Some(work);
                }
                return;
            }
            _ => self.unmark(id, &work),
        }
        self.recycle(Some(work));
    }

    /// An operation that gives up does not wait for an item any more.
    fn unqueue(&mut self, id: CallId, work: Option<&Work>, now: Instant) {
        if let Some(Work::Keyed(key, Verb::Lease { wait: true, .. })) = work {
            self.stop_waiting(id, key.raw(), now);
        }
    }

    /// An operation that gives up leaves its place. Returns whether the server may carry it out.
    fn leave(&mut self, id: ServerId, place: Place, backlog: usize, overdue: Instant, now: Instant) -> bool {
        if let Some(server) = self.servers.get_mut(id) {
            server.backlog = server.backlog.saturating_sub(backlog);
            if place == Place::Queued {
                server.queued = server.queued.saturating_sub(1);
            }
        }
        let Place::Sent(conn, number) = place else { return false };
        let Some(connection) = self.connections.get_mut(conn) else { return false };
        if connection.abandon(number, overdue) {
            self.timers.insert(overdue, Timer::Overdue(conn, number));
            return true;
        }
        // There is room for another, or nothing left to do.
        self.settle(conn, id, now);
        false
    }

    fn recycle(&mut self, work: Option<Work>) {
        const SPARE_KEYS: usize = 1024;
        match work {
            Some(Work::Keyed(key, _)) if self.spare_keys.len() < SPARE_KEYS => self.spare_keys.push(key.into_spare()),
            _ => {}
        }
    }
}
