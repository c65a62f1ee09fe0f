//! A cluster's client on nginx's event loop: its sockets, its timer, and the calls of siblings' handlers.
//!
//! Everything happens on the event loop's thread, in two kinds of places. Calls from nginx and from siblings give the client
//! its input: bytes, a connect that succeeded, an operation. One event, which is posted once per turn of the event loop
//! (`turn`), does the rest. So the operations of all requests of a turn leave in one write; those of a busy turn leave with
//! the next one's. Handlers of siblings are called only from there.
//!
//! Invariant: nothing is borrowed while code runs that may call back: a sibling's handler, and nginx when it opens a
//! connection.

#![forbid(unsafe_code)]

mod debug;
pub mod host;
pub mod members;
mod modules;
mod names;
mod report;
mod server;
mod sockets;
mod turn;

use core::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::rc::{Rc, Weak};
use std::time::Duration;

use memcache_engine::{
    Asker, CallId, Client, Config, ConnId, Error, Instant, ModuleId, Rejected, Request, ServerConfig, ServerId,
    ServerVerb, Subset, SubsetError, Ttl, WorkerMemory,
};
use nginx_sys::ngx_msec_t;
use once_cell::unsync::OnceCell;
use slotmap::SecondaryMap;

use self::host::Host;
use self::server::Server;

use crate::abi::binding::Calls;
use crate::abi::callback::Callback;
use crate::memory;
use crate::nginx::connection::Connection;
use crate::nginx::cycle::Cycle;
use crate::nginx::event::Event;
use crate::nginx::log::Log;
use crate::nginx::module::Address;
use crate::nginx::process::NotAvailable;
use crate::nginx::ssl::Context;
use crate::nginx::{clock, process};

/// A timer that is so late shows that the event loop was blocked: by another module, or with the whole process.
const HELD_UP: Duration = Duration::from_millis(50);

/// How many answers the handlers of siblings get in one turn of the event loop. nginx runs posted events until none is left,
/// including those that a handler has posted by a submit. So the answers are counted across turns. After this many, the
/// driver's event is delayed to the next turn. That costs one empty wait per so many handlers; detecting the start of each
/// turn would cost one in every turn.
const CALLS_PER_TURN: usize = 1024;

/// Why an operation was not accepted.
pub enum SubmitError {
    /// The client has a reason.
    Client(Error),
    /// The client is in use: the call comes from a place where no call is possible.
    InUse,
}

/// A list of servers that changes by itself.
pub trait List {
    /// Whether there is another one than the client has. It is asked at the start of each turn.
    fn is_new(&self) -> bool;
    /// Gives it to the client, by [`set_servers`](Driver::set_servers).
    fn give(&self, driver: &Driver);
}

/// The client of a cluster in this worker.
pub struct Driver {
    /// Itself, for its connections.
    this: Weak<Driver>,
    client: RefCell<Client<Callback>>,
    connections: RefCell<SecondaryMap<ConnId, Connection<Driver>>>,
    /// By their ids. The places of servers that have gone are empty.
    servers: RefCell<Vec<Option<Rc<Server>>>>,
    /// How connections are secured; `None`: not at all.
    tls: Option<Rc<Context>>,
    /// The list, if it may change.
    list: OnceCell<Weak<dyn List>>,
    /// The worker's log.
    log: Log<'static>,
    turn: Event<Driver>,
    timer: Event<Driver>,
    /// One second after a line about failures.
    reports: Event<Driver>,
    /// There are failures that were not logged yet.
    unlogged: Cell<bool>,
    /// Operations that were refused because of a lack of memory, and were not logged yet.
    without_memory: Cell<u64>,
    /// The time of the timer.
    armed: Cell<Instant>,
    /// The timer fired too late, and was set once more.
    late: Cell<bool>,
    /// The last time that was read from the clock.
    clock: Cell<Instant>,
    /// That was not before the posted event was handled last.
    is_current: Cell<bool>,
    state: Cell<State>,
    /// Handlers that may still run before other events.
    calls_left: Cell<usize>,
    /// nginx's time, in milliseconds, when these were all.
    calls_since: Cell<ngx_msec_t>,
    /// Turns in which the work limit was reached.
    cut: Cell<u64>,
    /// The longest time of the handlers of a turn.
    longest: Cell<Duration>,
    /// The modules that have said who they are: where they are, and their numbers.
    modules: RefCell<Vec<(Address, ModuleId)>>,
    /// There were more than a client tells apart, which was logged.
    too_many_modules: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// The worker exits gracefully: operations still work.
    Draining,
    /// The worker exits, and no operation is pending.
    Forced,
    /// There are no sockets and no events.
    Ended,
}

impl Driver {
    /// A client that has not started: it opens no connections yet.
    pub fn new(
        config: &Config,
        hosts: &[Host],
        tls: Option<&Rc<Context>>,
        worker_memory: WorkerMemory,
        whose: impl Fn(&ServerConfig) -> String,
    ) -> Result<Rc<Driver>, NotAvailable> {
        let log = Cycle::current().and_then(Cycle::log).ok_or(NotAvailable)?;
        let servers = config
            .servers
            .iter()
            .zip(hosts)
            .map(|(server, host)| Some(Rc::new(Server::new(server.name.clone(), whose(server), host, tls))));
        // Connects and probes of different workers must not coincide.
        let seed = RandomState::new().hash_one(std::process::id());
        let client = Client::among(config.clone(), seed, worker_memory, clock::now());
        Ok(Rc::new_cyclic(|this| Driver {
            this: this.clone(),
            client: RefCell::new(client),
            connections: RefCell::default(),
            servers: RefCell::new(servers.collect()),
            tls: tls.cloned(),
            list: OnceCell::new(),
            log,
            turn: Event::new(this.clone(), Driver::on_turn, log),
            timer: Event::new(this.clone(), Driver::on_timer, log),
            reports: Event::new(this.clone(), Driver::on_report, log),
            unlogged: Cell::default(),
            without_memory: Cell::default(),
            armed: Cell::default(),
            late: Cell::default(),
            clock: Cell::new(clock::now()),
            is_current: Cell::new(false),
            state: Cell::new(State::Running),
            calls_left: Cell::new(CALLS_PER_TURN),
            calls_since: Cell::new(0),
            cut: Cell::new(0),
            longest: Cell::default(),
            modules: RefCell::default(),
            too_many_modules: Cell::default(),
        }))
    }

    /// Starts the client.
    pub fn start(&self) {
        self.begin_reports();
        self.follow_names();
        // Not this turn: in `init_process`, the event loop has not begun, and would wait before it.
        self.turn.post_next();
    }

    /// Closes everything. No handler of a sibling runs, now or later.
    pub fn shut_down(&self) {
        if self.state.replace(State::Ended) != State::Ended {
            self.view(|client| client.publish_last(clock::now()));
            self.log_rest();
        }
        self.turn.delete();
        self.timer.delete();
        self.reports.delete();
        self.all_servers().iter().for_each(|(_, server)| drop(server.following.take()));
        drop(self.with_connections(core::mem::take));
    }

    /* what the function table calls */

    /// Accepts an operation. Its handler runs later, or never if this fails.
    pub fn submit(&self, asker: Asker, request: Request<'_>, callback: Callback) -> Result<CallId, SubmitError> {
        let (key, verb) = (request.key, request.verb.name());
        let call = self.accept(|client, now| client.submit_within(asker, request, callback, now));
        self.debug_call(&call, || self.describe(asker.subset, verb, key));
        call
    }

    /// Refuses a value that is larger than `memcache_max_value`, and counts it.
    pub fn refuse_value(
        &self,
        asker: Asker,
        key: &[u8],
        size: usize,
        callback: Callback,
    ) -> Result<CallId, SubmitError> {
        let call = self.accept(|client, now| Err(client.refuse_value(asker, key, size, callback, now)));
        self.debug_call(&call, || self.describe(asker.subset, "value", key));
        call
    }

    /// The same for an operation on one server.
    pub fn submit_to(
        &self,
        module: ModuleId,
        server: ServerId,
        verb: ServerVerb,
        timeout: Option<Duration>,
        callback: Callback,
    ) -> Result<CallId, SubmitError> {
        let call = self.accept(|client, now| client.submit_to_for(module, server, verb, timeout, callback, now));
        self.debug_call(&call, || format!("{}{}", verb.name(), self.name(server)));
        call
    }

    /// The same for gets of many keys, which are one operation.
    pub fn submit_many<'a>(
        &self,
        asker: Asker,
        keys: impl Iterator<Item = &'a [u8]>,
        touch: Option<Ttl>,
        timeout: Option<Duration>,
        callback: Callback,
    ) -> Result<CallId, SubmitError> {
        let call = self.accept(|client, now| client.submit_many(asker, keys, touch, timeout, callback, now));
        self.debug_call(&call, || "gets of many keys".into());
        call
    }

    /// A subset of the client's servers. `None`: the client is in use.
    pub fn subset(&self, of: Subset, servers: &[usize]) -> Option<Result<Subset, SubsetError>> {
        self.with(|client| client.subset(of, servers))
    }

    fn accept(
        &self,
        submit: impl FnOnce(&mut Client<Callback>, Instant) -> Result<CallId, Rejected<Callback>>,
    ) -> Result<CallId, SubmitError> {
        if self.state.get() == State::Ended {
            return Err(SubmitError::Client(Error::Shutdown { maybe_applied: false }));
        }
        if memory::is_low() {
            self.note_without_memory();
            return Err(SubmitError::Client(Error::NoMemory));
        }
        let mut client = self.client.try_borrow_mut().map_err(|_| SubmitError::InUse)?;
        let now = self.now();
        let call = submit(&mut client, now);
        // The posted event sets the timer precisely. Without any, a worker that exits would not wait for the posted
        // event either.
        if !self.timer.has_timer() {
            self.arm(&mut client, now);
        }
        self.timer.set_cancelable(self.state.get() == State::Forced);
        // Also after a refusal: the client may have a connection to open, or may have found that a server is down.
        self.turn.post();
        call.map_err(|rejected| {
            self.note_refused(&rejected.error);
            SubmitError::Client(rejected.error)
        })
    }

    /// Takes a server out of use, or back into it. `Some(false)`: there is no such server; `None`: not now.
    pub fn set_enabled(&self, server: ServerId, enabled: bool) -> Option<bool> {
        let now = self.now();
        let known = self.with(|client| client.set_enabled(server, enabled, now))?;
        if self.state.get() != State::Ended {
            self.turn.post();
        }
        Some(known)
    }

    /// The number of turns in which the work limit was reached.
    pub fn turns_cut(&self) -> u64 {
        self.cut.get()
    }

    /// The longest time of the handlers of a turn, while the rest of the worker waited.
    pub fn longest_handlers(&self) -> Duration {
        self.longest.get()
    }

    /// Calls `look` with the client, for reading.
    pub fn view<R>(&self, look: impl FnOnce(&Client<Callback>) -> R) -> Option<R> {
        self.client.try_borrow().ok().map(|client| look(&client))
    }

    /* what nginx calls */

    /// The timer.
    fn on_timer(&self) {
        let now = self.now();
        let late = now.since(self.armed.get()) >= HELD_UP && !self.late.get();
        self.late.set(late);
        if late {
            // Replies may have come meanwhile that nginx has not seen: a signal, such as the one that lets a stopped
            // process go on, sends it from waiting for events straight to its timers.
            return self.set_timer(now, now);
        }
        self.with(|client| client.timeout(now));
        self.turn.post();
    }

    fn notice_exit(&self, now: Instant) {
        if process::is_exiting() && self.state.get() == State::Running {
            self.state.set(State::Draining);
            self.with(|client| client.drain(now));
        }
    }

    /// Sets the timer if it would fire too late. A timer that fires too early is harmless, and is not moved for each operation.
    fn arm(&self, client: &mut Client<Callback>, now: Instant) {
        self.set_cancelable(client);
        // Completions that wait for the next turn need no timeout, but an exiting worker has to wait for them.
        let Some(at) = client.next_timeout().or_else(|| (client.pending() > 0).then_some(now)) else { return };
        if self.timer.has_timer() && self.armed.get() <= at {
            return;
        }
        self.set_timer(at, now);
    }

    fn set_timer(&self, at: Instant, now: Instant) {
        let millis = at.since(now).as_micros().div_ceil(1000).max(1);
        self.timer.set_timer(ngx_msec_t::try_from(millis).unwrap_or(ngx_msec_t::MAX / 2));
        self.armed.set(at);
    }

    /// A graceful exit waits for the timer while operations are pending.
    fn set_cancelable(&self, client: &Client<Callback>) {
        self.timer.set_cancelable(client.pending() == 0 || self.state.get() == State::Forced);
    }

    /// Gives an input to the client, or asks it for an output.
    fn with<R>(&self, step: impl FnOnce(&mut Client<Callback>) -> R) -> Option<R> {
        self.client.try_borrow_mut().ok().map(|mut client| step(&mut client))
    }

    /// The time of this turn: the clock is read once between two posted events, where the second is due.
    fn now(&self) -> Instant {
        if !self.is_current.get() || !self.turn.is_posted() {
            self.read_clock();
            self.is_current.set(true);
        }
        self.clock.get()
    }

    fn read_clock(&self) -> Instant {
        self.clock.set(clock::now());
        self.clock.get()
    }
}

impl Calls for Driver {
    fn cancel(&self, call: CallId) -> bool {
        let Ok(mut client) = self.client.try_borrow_mut() else { return false };
        let Some(callback) = client.cancel(call, self.now()) else { return false };
        if self.state.get() != State::Ended {
            self.set_cancelable(&client);
            self.turn.post();
        }
        drop(client);
        drop(callback);
        true
    }

    fn unbind(&self, call: CallId) {
        self.with(|client| client.context_mut(call).map(Callback::unbind));
    }

    fn latest(&self) -> Instant {
        self.clock.get()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shut_down();
    }
}
