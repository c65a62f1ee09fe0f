//! An operation: what it does, for whom, and where it is.

use std::time::Duration;

use crate::front::batch::Batch;
use crate::id::{CallId, ConnId, ServerId};
use crate::operation::key::Key;
use crate::operation::reply::Answer;
use crate::operation::request::Verb;
use crate::operation::work::Work;
use crate::route::subset::Subset;
use crate::server::Hold;
use crate::time::Instant;

/// Where an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// In its server's queue.
    Queued,
    /// In a connection's FIFO, with this number.
    Sent(ConnId, u32),
    /// In the exchange of equal gets, a group of this name.
    Following(CallId),
    /// For the item that somebody else makes.
    Waiting,
    /// For the answers of the operations that it consists of.
    Gathering,
    /// In the list of completions.
    Done,
}

/// Whom an operation completes for.
#[derive(Debug)]
pub(super) enum Owner<T> {
    /// Whoever submitted it.
    Caller(T),
    /// The operation that it is a part of, with this place among the answers.
    Batch(CallId, usize),
    /// Nobody: it is an internal operation, the client's own.
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

/// What is to be done, and where.
#[derive(Debug)]
pub(super) struct NewCall {
    /// `None`: it is about the server itself.
    pub key: Option<Key>,
    pub work: Work,
    /// The servers that it may go to, the key's own of them, and the one that it goes to.
    pub subset: Subset,
    pub home: ServerId,
    pub server: ServerId,
}

/// What an operation does, or has come to.
#[derive(Debug)]
pub(super) enum Task {
    Work(Work),
    /// What its parts do.
    Parts(Box<Batch>),
    Answer(Answer),
}

#[derive(Debug)]
pub(super) struct Call<T> {
    pub owner: Owner<T>,
    /// As long as there is an answer, too: the lease that it brings may have to be handed back.
    pub key: Option<Key>,
    pub task: Task,
    /// The servers that it may go to, the key's own of them, and the one that it goes to, or that has answered.
    pub subset: Subset,
    pub home: ServerId,
    pub server: ServerId,
    pub stage: Stage,
    /// When it was submitted.
    pub since: Instant,
    pub deadline: Instant,
    /// Bytes of its value that count for the server's backlog; no value is so large that they do not fit.
    pub backlog: u32,
    /// Whether it was moved to another connection once.
    pub retried: bool,
    /// How often its deadline may still be put off.
    pub patience: u8,
    /// The group of gets that it leads.
    pub group: Option<CallId>,
    /// Of a write on a connection: what keeps those that come later behind it.
    pub hold: Option<Hold>,
}

impl<T> Call<T> {
    /// One that consists of others: it is on no server, and has no time but theirs.
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
            retried: false,
            patience: 0,
            group: None,
            hold: None,
        }
    }

    /// What it does; `None` once it has ended.
    pub fn work(&self) -> Option<&Work> {
        match &self.task {
            Task::Work(work) => Some(work),
            Task::Parts(_) | Task::Answer(_) => None,
        }
    }

    /// Whether it goes to a server that stands in for the key's own.
    pub fn is_moved(&self) -> bool {
        self.server != self.home
    }

    /// The key of a lease get that waits for the item to be made.
    pub fn waits_for(&self) -> Option<&Key> {
        self.key.as_ref().filter(|_| matches!(self.task, Task::Work(Work::Keyed(Verb::Lease { wait: true, .. }))))
    }

    /// How long it was given.
    pub fn timeout(&self) -> Duration {
        self.deadline.since(self.since)
    }

    /// Its bytes do not count for the backlog any more: how many these were.
    pub fn take_backlog(&mut self) -> usize {
        std::mem::take(&mut self.backlog) as usize
    }

    pub fn is_write(&self) -> bool {
        self.work().is_some_and(Work::is_write)
    }
}
