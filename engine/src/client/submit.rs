//! Acceptance of operations.

use std::time::Duration;

use super::call::{Call, NewCall, Owner, Stage, Task};
use super::state::Client;
use crate::config::Failover;
use crate::id::{CallId, ServerId};
use crate::limits::{MAX_CANDIDATES, MAX_TIMEOUT, PATIENCE};
use crate::network::Timer;
use crate::operation::error::Error;
use crate::operation::key::Key;
use crate::operation::module::ModuleId;
use crate::operation::request::{Request, ServerVerb};
use crate::operation::work::Work;
use crate::route::subset::Subset;
use crate::server::{Server, Target};
use crate::time::Instant;

/// An operation that was not accepted.
#[derive(Debug)]
pub struct Rejected<T> {
    /// The reason.
    pub error: Error,
    /// The value that was submitted with it.
    pub context: T,
}

/// Who submits an operation: the module that asks, and the servers that it asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Asker {
    /// The servers.
    pub subset: Subset,
    /// The module.
    pub module: ModuleId,
}

impl From<Subset> for Asker {
    fn from(subset: Subset) -> Self {
        Asker { subset, module: ModuleId::UNTAGGED }
    }
}

/// The room for an admitted operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admission {
    target: Target,
    /// Bytes of its large value, 0 if it has none.
    bulk: u32,
}

impl<T> Client<T> {
    /// Accepts an operation, which will complete or be cancelled, or returns an error at once.
    pub fn submit(&mut self, request: Request<'_>, context: T, now: Instant) -> Result<CallId, Rejected<T>> {
        self.submit_within(Asker::default(), request, context, now)
    }

    /// The same for a module, or within a subset of the servers.
    pub fn submit_within(
        &mut self,
        asker: impl Into<Asker>,
        request: Request<'_>,
        context: T,
        now: Instant,
    ) -> Result<CallId, Rejected<T>> {
        let Request { key, verb, timeout } = request;
        let Asker { subset, module } = asker.into();
        let spare = self.spare_keys.pop().unwrap_or_default();
        let key = match self.config.keys.key(key, spare) {
            Ok(key) => key,
            Err(error) => {
                self.modules.refused(module, now);
                return Err(Rejected { error: error.into(), context });
            }
        };
        let (home, server) = self.choose(subset, &key, now);
        let new = NewCall { key: Some(key), work: Work::Keyed(verb), module, subset, home, server };
        self.accept(new, timeout, context, now)
    }

    /// Accepts an operation on a server itself, as [`submit`](Client::submit) does on a key.
    pub fn submit_to(
        &mut self,
        server: ServerId,
        verb: ServerVerb,
        timeout: Option<Duration>,
        context: T,
        now: Instant,
    ) -> Result<CallId, Rejected<T>> {
        self.submit_to_for(ModuleId::UNTAGGED, server, verb, timeout, context, now)
    }

    /// The same for a module.
    pub fn submit_to_for(
        &mut self,
        module: ModuleId,
        server: ServerId,
        verb: ServerVerb,
        timeout: Option<Duration>,
        context: T,
        now: Instant,
    ) -> Result<CallId, Rejected<T>> {
        if self.servers.member(server).is_none() {
            self.modules.refused(module, now);
            return Err(Rejected { error: Error::NoSuchServer, context });
        }
        self.learn(server, now);
        let new = NewCall { key: None, work: Work::Server(verb), module, subset: Subset::ALL, home: server, server };
        self.accept(new, timeout, context, now)
    }

    /// Refuses a value that is larger than `memcache_max_value`, given its size alone. The refusal is counted as if the
    /// value had been submitted.
    pub fn refuse_value(
        &mut self,
        asker: impl Into<Asker>,
        key: &[u8],
        size: usize,
        context: T,
        now: Instant,
    ) -> Rejected<T> {
        let Asker { subset, module } = asker.into();
        self.modules.refused(module, now);
        let key = match self.config.keys.key(key, Vec::new()) {
            Ok(key) => key,
            Err(error) => return Rejected { error: error.into(), context },
        };
        let error = Error::TooLarge { size, limit: self.config.max_value };
        let (_, server) = self.choose(subset, &key, now);
        if let Some(server) = self.servers.get_mut(server) {
            server.refused(&error, now);
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
        let module = new.module;
        match self.admit(&new, now) {
            Ok(room) => {
                self.network.writes.count_submitted();
                Ok(self.begin(Owner::Caller(context), new, room, timeout, now))
            }
            Err(error) => {
                self.modules.refused(module, now);
                Err(Rejected { error, context })
            }
        }
    }

    /// The key's own server, and the server of the operation.
    #[inline(always)]
    pub(super) fn choose(&mut self, subset: Subset, key: &Key, now: Instant) -> (ServerId, ServerId) {
        let Some(home) = self.home(subset, key) else { return (ServerId::MAX, ServerId::MAX) };
        self.learn(home, now);
        if self.config.failover != Failover::Off && !self.servers.get(home).is_some_and(Server::is_live) {
            self.learn_stand_ins(subset, key, now);
        }
        let Some(server) = self.stand_in(subset, home, key).filter(|&server| server != home) else {
            return (home, home);
        };
        if let Some(home) = self.servers.get_mut(home) {
            home.failed_over();
        }
        (home, server)
    }

    /// Adopts what other clients have found about the servers that could stand in for the key's own, up to the first live one.
    /// So clients that share what they know ask the same one.
    #[cold]
    fn learn_stand_ins(&mut self, subset: Subset, key: &Key, now: Instant) {
        let mut known = Vec::new();
        while let Some(server) = self.stand_in_where(subset, key, |id| !known.contains(&id)) {
            self.learn(server, now);
            if known.len() >= MAX_CANDIDATES || self.servers.get(server).is_some_and(Server::is_live) {
                return;
            }
            known.push(server);
        }
    }

    /// Whether there is room for an operation, and where.
    pub(super) fn admit(&mut self, new: &NewCall, now: Instant) -> Result<Admission, Error> {
        let id = new.server;
        let bulk = self.large_items.bulk(new.key.as_ref(), &new.work);
        let target = match self.group_for(new, now) {
            Some(group) => Target::Group(group),
            None if new.work.is_alone() => self.target_alone(id),
            None => self.target(id, new.key.as_ref(), bulk, self.modules.spares(new.module, now)),
        };
        let has_memory = self.make_room(new, target).is_ok();
        let (module, modules) = (new.module, &self.modules);
        let Some(server) = self.servers.get_mut(id) else { return Err(self.without_server(new.subset)) };
        let share = |all| modules.share(module, all, now);
        match server.admit(&new.work, module, share, target, has_memory, now) {
            Ok(()) => Ok(Admission { target, bulk }),
            Err(error) => {
                if error == Error::Busy {
                    // With `memcache_queue 0` no operation waits for a connection, so nothing else opens one.
                    self.grow_for(id, 1, false, now);
                }
                Err(error)
            }
        }
    }

    /// Begins an admitted operation.
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
        self.modules.accepted(new.module, now);
        let call = self.enter(owner, new, timeout, now);
        match room.target {
            Target::Group(group) => self.follow(call, group),
            target => {
                self.open_exchange(call);
                if !self.place(call, server, target.connection(), room.bulk, now) {
                    // Operations that wait may find room now, and this one after them.
                    self.pump(server, now);
                }
            }
        }
        call
    }

    pub(super) fn enter(&mut self, owner: Owner<T>, new: NewCall, timeout: Duration, now: Instant) -> CallId {
        let NewCall { key, work, module, subset, home, server } = new;
        let deadline = now.after(timeout);
        let call = Call {
            owner,
            backlog: u32::try_from(work.value_len()).unwrap_or(u32::MAX),
            key,
            task: Task::Work(work),
            module,
            subset,
            home,
            server,
            stage: Stage::Queued,
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

    /// Keeps the memory of a key for a later one.
    pub(super) fn recycle(&mut self, key: Option<Key>) {
        const SPARE_KEYS: usize = 1024;
        if let Some(key) = key.filter(|_| self.spare_keys.len() < SPARE_KEYS) {
            self.spare_keys.push(key.into_spare());
        }
    }
}
