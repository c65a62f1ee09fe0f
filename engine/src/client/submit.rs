//! How an operation is accepted.

use std::time::Duration;

use super::call::{Call, NewCall, Owner, Place, Task};
use super::order::Target;
use super::state::Client;
use crate::id::{CallId, ConnId, ServerId};
use crate::limits::{MAX_TIMEOUT, PATIENCE};
use crate::network::Timer;
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::request::{Request, ServerVerb};
use crate::operation::work::Work;
use crate::route::subset::Subset;
use crate::time::Instant;

/// An operation that was not accepted.
#[derive(Debug)]
pub struct Rejected<T> {
    /// Why.
    pub error: Error,
    /// What was submitted with it.
    pub context: T,
}

/// Where an operation that was admitted has room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admission {
    /// In the exchange of this group of gets.
    group: Option<CallId>,
    /// On this connection; if neither, in the queue.
    target: Option<ConnId>,
    /// Bytes that it has the connection busy with, if they are many.
    bulk: u32,
}

impl<T> Client<T> {
    /// Accepts an operation, which will be completed or cancelled, or says why not, at once.
    pub fn submit(&mut self, request: Request<'_>, context: T, now: Instant) -> Result<CallId, Rejected<T>> {
        self.submit_within(Subset::ALL, request, context, now)
    }

    /// The same where only a subset's servers may have the key.
    pub fn submit_within(
        &mut self,
        subset: Subset,
        request: Request<'_>,
        context: T,
        now: Instant,
    ) -> Result<CallId, Rejected<T>> {
        let Request { key, verb, timeout } = request;
        let spare = self.spare_keys.pop().unwrap_or_default();
        let key = match Key::new(&self.config.prefix, key, spare) {
            Ok(key) => key,
            Err(error) => return Err(Rejected { error: error.into(), context }),
        };
        let (home, server) = self.choose(subset, &key, now);
        let new = NewCall { key: Some(key), work: Work::Keyed(verb), subset, home, server };
        self.accept(new, timeout, context, now)
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
        self.learn(server, now);
        let new = NewCall { key: None, work: Work::Server(verb), subset: Subset::ALL, home: server, server };
        self.accept(new, timeout, context, now)
    }

    /// Refuses a value that is larger than `memcache_max_value`, of which nothing but its size has to be known: it is counted
    /// as if it had been submitted.
    pub fn refuse_value(&mut self, subset: Subset, key: &[u8], size: usize, context: T, now: Instant) -> Rejected<T> {
        let key = match Key::new(&self.config.prefix, key, Vec::new()) {
            Ok(key) => key,
            Err(error) => return Rejected { error: error.into(), context },
        };
        let error = Error::TooLarge { size, limit: self.config.max_value };
        let (_, server) = self.choose(subset, &key, now);
        if let Some(server) = self.servers.get_mut(server) {
            server.touched = true;
            server.counters.failed_with(&error, now);
        }
        Rejected { error, context }
    }

    fn accept(
        &mut self,
        new: NewCall,
        timeout: Option<Duration>,
        context: T,
        now: Instant,
    ) -> Result<CallId, Rejected<T>> {
        match self.admit(&new, now) {
            Ok(room) => {
                self.writes.count_submitted();
                Ok(self.begin(Owner::Caller(context), new, room, timeout, now))
            }
            Err(error) => Err(Rejected { error, context }),
        }
    }

    /// The key's own server, and the one that an operation goes to.
    pub(super) fn choose(&mut self, subset: Subset, key: &Key, now: Instant) -> (ServerId, ServerId) {
        let Some(home) = self.home(subset, key) else { return (ServerId::MAX, ServerId::MAX) };
        self.learn(home, now);
        let Some(server) = self.stand_in(subset, home, key).filter(|&server| server != home) else {
            return (home, home);
        };
        if let Some(home) = self.servers.get_mut(home) {
            home.counters.stats.failed_over.bump();
            home.touched = true;
        }
        self.learn(server, now);
        (home, server)
    }

    /// Whether there is room for an operation, and where.
    pub(super) fn admit(&mut self, new: &NewCall, now: Instant) -> Result<Admission, Error> {
        let id = new.server;
        let group = self.group_for(new, now);
        let size = new.work.value_len();
        let limit = self.config.max_value;
        let bulk = self.bulk(new.key.as_ref(), &new.work);
        let goes = self.target(id, new.key.as_ref(), bulk);
        let target = goes.connection();
        let mut room = self.make_room(id, group, target);
        let Some(server) = self.servers.get_mut(id) else { return Err(Error::NoSuchServer) };
        if new.work.is_write() {
            room = room.and_then(|()| server.writes.try_reserve());
        }
        let live = server.is_live();
        let limits = &server.counters.stats.limits;
        let error = if size > limit {
            Some(Error::TooLarge { size, limit })
        } else if !live {
            Some(Error::ServerDown)
        } else if !server.supports(&new.work) {
            Some(Error::Unsupported)
        } else if group.is_none() && goes == Target::Queue && server.queue.len() >= self.config.queue {
            limits.queue.bump();
            Some(Error::Busy)
        } else if group.is_none() && goes == Target::Nowhere {
            limits.pipeline.bump();
            Some(Error::Busy)
        } else if !server.backlog.has_room(size) {
            limits.backlog.bump();
            Some(Error::Busy)
        } else if room.is_err() {
            Some(Error::NoMemory)
        } else {
            None
        };
        server.touched = true;
        if let Some(error) = error {
            server.counters.failed_with(&error, now);
            if error == Error::Busy {
                // With `memcache_queue 0` nothing waits for a connection, and so nothing else asks for one.
                self.grow_for(id, 1, now);
            }
            return Err(error);
        }
        if group.is_none() && target.is_none() && server.connecting == 0 {
            let max = self.config.servers.get(id).map_or(0, |config| config.pool.max() as usize);
            if server.connections.len() >= max {
                server.counters.stats.limits.pipeline.bump();
            }
        }
        server.counters.accepted(&new.work, now);
        server.backlog.add(size);
        Ok(Admission { group, target, bulk })
    }

    /// Begins an operation that was admitted.
    pub(super) fn begin(
        &mut self,
        owner: Owner<T>,
        new: NewCall,
        room: Admission,
        timeout: Option<Duration>,
        now: Instant,
    ) -> CallId {
        let timeout = timeout.unwrap_or(self.config.timeout).min(MAX_TIMEOUT);
        let server = new.server;
        let call = self.enter(owner, new, timeout, now);
        match room.group {
            Some(group) => self.follow(call, group),
            None => {
                self.mark(call);
                if !self.place(call, server, room.target, room.bulk) {
                    // What waits may have found room meanwhile, and this one behind it.
                    self.pump(server, now);
                }
            }
        }
        call
    }

    pub(super) fn enter(&mut self, owner: Owner<T>, new: NewCall, timeout: Duration, now: Instant) -> CallId {
        let NewCall { key, work, subset, home, server } = new;
        let deadline = now.after(timeout);
        let call = Call {
            owner,
            backlog: u32::try_from(work.value_len()).unwrap_or(u32::MAX),
            key,
            task: Task::Work(work),
            subset,
            home,
            server,
            place: Place::Queued,
            since: now,
            deadline,
            retried: false,
            patience: if timeout == self.config.timeout { PATIENCE } else { 0 },
            group: None,
            hold: None,
        };
        let call = self.calls.insert(call);
        let timer = Timer::Call(call);
        if timeout == self.config.timeout {
            self.network.timers.insert_last(deadline, timer);
        } else {
            self.network.timers.insert(deadline, timer);
        }
        call
    }

    /// Keeps the memory of a key for the next one.
    pub(super) fn recycle(&mut self, key: Option<Key>) {
        const SPARE_KEYS: usize = 1024;
        if let Some(key) = key.filter(|_| self.spare_keys.len() < SPARE_KEYS) {
            self.spare_keys.push(key.into_spare());
        }
    }
}
