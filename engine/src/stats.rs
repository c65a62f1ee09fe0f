//! What is counted, per server.

use crate::error::Error;
use crate::reply::{Answer, Outcome};
use crate::request::{Direction, StoreMode, Verb};

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
        /// incr
        incr,
        /// decr
        decr,
        /// touch
        touch,
        /// version
        version,
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
        /// Cancelled by the caller, with or without an answer on its way.
        cancelled,
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

fn bump(counter: &mut u64) {
    *counter = counter.wrapping_add(1);
}

impl Stats {
    pub(crate) fn accepted(&mut self, verb: Option<&Verb>) {
        let ops = &mut self.operations;
        bump(match verb {
            None => &mut ops.version,
            Some(Verb::Get { touch: None }) => &mut ops.get,
            Some(Verb::Get { touch: Some(_) }) => &mut ops.get_and_touch,
            Some(Verb::Store { mode: StoreMode::Set, cas: 0, .. }) => &mut ops.set,
            Some(Verb::Store { mode: StoreMode::Set, .. }) => &mut ops.compare_and_swap,
            Some(Verb::Store { mode: StoreMode::Add, .. }) => &mut ops.add,
            Some(Verb::Store { mode: StoreMode::Replace, .. }) => &mut ops.replace,
            Some(Verb::Store { mode: StoreMode::Append, .. }) => &mut ops.append,
            Some(Verb::Store { mode: StoreMode::Prepend, .. }) => &mut ops.prepend,
            Some(Verb::Delete { .. }) => &mut ops.delete,
            Some(Verb::Count { direction: Direction::Incr, .. }) => &mut ops.incr,
            Some(Verb::Count { direction: Direction::Decr, .. }) => &mut ops.decr,
            Some(Verb::Touch { .. }) => &mut ops.touch,
        });
    }

    pub(crate) fn answered(&mut self, answer: &Answer, is_get: bool) {
        match answer {
            Ok(Outcome::Item(_)) => bump(&mut self.hits),
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
