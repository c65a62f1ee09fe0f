//! What is counted, per server.

use crate::client::Work;
use crate::error::Error;
use crate::reply::{Answer, Lease, Outcome};
use crate::request::{Direction, ServerVerb, StoreMode, Verb};

macro_rules! counters {
    ($(#[$doc:meta])* $name:ident / $list:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: u64,)*
        }

        impl $name {
            /// Every counter with its name.
            pub fn $list(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field)),*].into_iter()
            }
        }
    };
}

counters! {
    /// Operations that were accepted, by kind.
    Operations / list {
        /// get
        get,
        /// get-and-touch
        get_and_touch,
        /// lease get
        lease,
        /// metadata get
        inspect,
        /// set without a version
        set,
        /// set with a version
        compare_and_swap,
        /// add
        add,
        /// replace
        replace,
        /// append
        append,
        /// prepend
        prepend,
        /// delete
        delete,
        /// mark as stale
        invalidate,
        /// incr
        incr,
        /// decr
        decr,
        /// touch
        touch,
        /// noop
        noop,
        /// version
        version,
        /// stats
        stats,
        /// flush_all
        flush_all,
    }
}

counters! {
    /// Operations that failed, by class; a miss is not a failure.
    Errors / list {
        /// [`Error::NotSent`]
        not_sent,
        /// [`Error::Unknown`]
        unknown,
        /// [`Error::Timeout`]
        timeout,
        /// [`Error::Busy`]
        busy,
        /// [`Error::ServerDown`]
        server_down,
        /// [`Error::Server`]
        server,
        /// [`Error::Client`]
        client,
        /// [`Error::Protocol`]
        protocol,
        /// [`Error::TooLarge`]
        too_large,
        /// [`Error::NoMemory`]
        no_memory,
        /// Cancelled by the caller, with or without an answer on its way.
        cancelled,
    }
}

counters! {
    /// How often a limit was hit; values that are too large are among the errors.
    Limits / list {
        /// Operations refused, as `memcache_queue` of them waited.
        queue,
        /// Operations refused, as [`MAX_BACKLOG`](crate::MAX_BACKLOG) bytes waited.
        backlog,
        /// Operations that had to wait, as each of `max` connections had
        /// [`PIPELINE_BOUND`](crate::PIPELINE_BOUND) times `memcache_pipeline` replies pending.
        pipeline,
        /// Connects put off, as there were [`CONNECT_RATE`](crate::CONNECT_RATE) of them in the last second.
        connects,
        /// Connections closed, as a reply had a line above [`MAX_LINE`](crate::MAX_LINE), or statistics above
        /// [`MAX_STATS`](crate::MAX_STATS).
        reply,
    }
}

/// The counters of a server since the client was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Operations that were accepted, by kind.
    pub operations: Operations,
    /// Gets that found an item.
    pub hits: u64,
    /// Gets that found none.
    pub misses: u64,
    /// Operations that failed, by class.
    pub errors: Errors,
    /// How often a limit was hit.
    pub limits: Limits,
    /// Gets that shared the exchange of another one.
    pub coalesced: u64,
    /// Operations that went to another server, as this one was down.
    pub failed_over: u64,
    /// Operations that were sent again, as their first connection ended.
    pub retried: u64,
    /// Bytes received.
    pub bytes_read: u64,
    /// Bytes sent.
    pub bytes_written: u64,
    /// Connections that passed their handshake.
    pub opened: u64,
    /// Connections that did not.
    pub failed: u64,
    /// Connections that ended abnormally after their handshake.
    pub lost: u64,
}

pub(crate) fn bump(counter: &mut u64) {
    *counter = counter.wrapping_add(1);
}

impl Stats {
    pub(crate) fn accepted(&mut self, work: &Work) {
        let ops = &mut self.operations;
        bump(match work {
            Work::Keyed(_, verb) => match verb {
                Verb::Get { touch: None } => &mut ops.get,
                Verb::Get { touch: Some(_) } => &mut ops.get_and_touch,
                Verb::Lease { .. } => &mut ops.lease,
                Verb::Inspect => &mut ops.inspect,
                Verb::Store { mode: StoreMode::Set, cas: 0, .. } => &mut ops.set,
                Verb::Store { mode: StoreMode::Set, .. } => &mut ops.compare_and_swap,
                Verb::Store { mode: StoreMode::Add, .. } => &mut ops.add,
                Verb::Store { mode: StoreMode::Replace, .. } => &mut ops.replace,
                Verb::Store { mode: StoreMode::Append, .. } => &mut ops.append,
                Verb::Store { mode: StoreMode::Prepend, .. } => &mut ops.prepend,
                Verb::Delete { .. } => &mut ops.delete,
                Verb::Invalidate { .. } => &mut ops.invalidate,
                Verb::Count { direction: Direction::Incr, .. } => &mut ops.incr,
                Verb::Count { direction: Direction::Decr, .. } => &mut ops.decr,
                Verb::Touch { .. } => &mut ops.touch,
            },
            Work::Server(verb) => match verb {
                ServerVerb::Noop => &mut ops.noop,
                ServerVerb::Version => &mut ops.version,
                ServerVerb::Stats => &mut ops.stats,
                ServerVerb::FlushAll { .. } => &mut ops.flush_all,
            },
        });
    }

    pub(crate) fn answered(&mut self, answer: &Answer, is_get: bool) {
        match answer {
            Ok(Outcome::Item(_) | Outcome::Lease(Lease::Hit(_) | Lease::Won { old: Some(_), .. })) => {
                bump(&mut self.hits);
            }
            Ok(Outcome::Lease(Lease::Lost { old: Some(_) })) => bump(&mut self.hits),
            Ok(Outcome::Lease(_)) => bump(&mut self.misses),
            Ok(Outcome::Miss) if is_get => bump(&mut self.misses),
            Ok(_) => {}
            Err(error) => self.failed_with(error),
        }
    }

    pub(crate) fn failed_with(&mut self, error: &Error) {
        let errors = &mut self.errors;
        bump(match error {
            Error::NotSent => &mut errors.not_sent,
            Error::Unknown { .. } => &mut errors.unknown,
            Error::Timeout { .. } => &mut errors.timeout,
            Error::Busy => &mut errors.busy,
            Error::ServerDown => &mut errors.server_down,
            Error::Server(_) => &mut errors.server,
            Error::Client(_) => &mut errors.client,
            Error::Protocol { .. } => &mut errors.protocol,
            Error::TooLarge { .. } => &mut errors.too_large,
            Error::NoMemory => &mut errors.no_memory,
            // These end before a server is chosen.
            Error::InvalidKey(_) | Error::NoSuchServer | Error::Shutdown { .. } => return,
        });
    }

    pub(crate) fn cancelled(&mut self) {
        bump(&mut self.errors.cancelled);
    }

    pub(crate) fn opened(&mut self) {
        bump(&mut self.opened);
    }

    pub(crate) fn connect_failed(&mut self) {
        bump(&mut self.failed);
    }

    pub(crate) fn lost(&mut self) {
        bump(&mut self.lost);
    }

    pub(crate) fn read(&mut self, bytes: usize) {
        self.bytes_read = self.bytes_read.wrapping_add(bytes as u64);
    }

    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.bytes_written = self.bytes_written.wrapping_add(bytes as u64);
    }
}
