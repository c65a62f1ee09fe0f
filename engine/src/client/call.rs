//! The structure of an operation: its work, its owner, its stage.

use std::time::Duration;

use crate::front::batch::Batch;
use crate::id::{CallId, ConnId, ServerId};
use crate::operation::key::Key;
use crate::operation::module::ModuleId;
use crate::operation::reply::Answer;
use crate::operation::request::Verb;
use crate::operation::work::Work;
use crate::route::subset::Subset;
use crate::server::{Hold, Load};
use crate::time::Instant;

/// The stage of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// In its server's queue.
    Queued,
    /// In a connection's FIFO, with this number.
    Sent(ConnId, u32),
    /// In a shared exchange of equal gets, a group with this name.
    Following(CallId),
    /// It waits for an item that another client makes.
    Waiting,
    /// It waits for the answers of its parts.
    Gathering,
    /// In the list of completions.
    Done,
}

/// The owner of an operation, who gets its answer.
#[derive(Debug)]
pub(super) enum Owner<T> {
    /// The caller.
    Caller(T),
    /// A batch, with this index among its answers.
    Batch(CallId, usize),
    /// The client itself.
    Internal,
}

impl<T> Owner<T> {
    pub fn into_caller(self) -> Option<T> {
        match self {
            Owner::Caller(context) => Some(context),
            Owner::Batch(..) | Owner::Internal => None,
        }
    }
}

/// A new operation, and its server.
#[derive(Debug)]
pub(super) struct NewCall {
    /// `None`: the operation is on the server itself.
    pub key: Option<Key>,
    pub work: Work,
    /// The module that asks.
    pub module: ModuleId,
    /// The allowed servers, the key's own server, and the chosen one.
    pub subset: Subset,
    pub home: ServerId,
    pub server: ServerId,
}

/// The work of an operation, or its answer.
#[derive(Debug)]
pub(super) enum Task {
    Work(Work),
    /// A batch, with the state of its parts.
    Parts(Box<Batch>),
    Answer(Answer),
}

#[derive(Debug)]
pub(super) struct Call<T> {
    pub owner: Owner<T>,
    /// It stays when there is an answer: the lease in that may have to be handed back.
    pub key: Option<Key>,
    pub task: Task,
    /// The allowed servers, the key's own server, and the chosen one, which may have answered.
    pub subset: Subset,
    pub home: ServerId,
    pub server: ServerId,
    pub stage: Stage,
    /// The time of its submission.
    pub since: Instant,
    pub deadline: Instant,
    /// Bytes of its value that count for the server's backlog. All values are small enough to fit.
    pub backlog: u32,
    /// The module that asks.
    pub module: ModuleId,
    /// Whether it was moved to another connection once.
    pub retried: bool,
    /// The number of times that its deadline may still be put off.
    pub patience: u8,
    /// The group of gets that it leads.
    pub group: Option<CallId>,
    /// For a write in the queue or on a connection: the mark that later operations on the key must not pass.
    pub hold: Option<Hold>,
}

impl<T> Call<T> {
    /// A batch. It is on no server, and ends with the last of its parts.
    pub fn gathering(context: T, batch: Box<Batch>, subset: Subset, now: Instant) -> Self {
        Call {
            owner: Owner::Caller(context),
            key: None,
            task: Task::Parts(batch),
            subset,
            home: ServerId::MAX,
            server: ServerId::MAX,
            stage: Stage::Gathering,
            since: now,
            deadline: now,
            backlog: 0,
            module: ModuleId::UNTAGGED,
            retried: false,
            patience: 0,
            group: None,
            hold: None,
        }
    }

    /// Its work; `None` once it has ended.
    pub fn work(&self) -> Option<&Work> {
        match &self.task {
            Task::Work(work) => Some(work),
            Task::Parts(_) | Task::Answer(_) => None,
        }
    }

    /// Whether it goes to a stand-in of the key's own server.
    pub fn is_moved(&self) -> bool {
        self.server != self.home
    }

    /// The key of a lease get that waits for an item.
    pub fn waits_for(&self) -> Option<&Key> {
        self.key.as_ref().filter(|_| matches!(self.task, Task::Work(Work::Keyed(Verb::Lease { wait: true, .. }))))
    }

    /// Its timeout.
    pub fn timeout(&self) -> Duration {
        self.deadline.since(self.since)
    }

    /// Bytes of its value that count for the server's backlog.
    pub fn load(&self) -> Load {
        Load { module: self.module, bytes: self.backlog as usize }
    }

    /// They do not count any more. Returns them.
    #[inline]
    pub fn take_load(&mut self) -> Load {
        let load = self.load();
        self.backlog = 0;
        load
    }

    pub fn is_write(&self) -> bool {
        self.work().is_some_and(Work::is_write)
    }
}
