//! The last error of a server, in one word of memory.

use super::Counter;
use crate::client::{Cause, Loss};
use crate::connection::Unfit;
use crate::error::Error;
use crate::time::Instant;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident: $class:literal, $text:literal;)*) => {
        /// What was wrong with a server.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            const ALL: &[Fault] = &[$(Fault::$name),*];

            /// One word.
            pub fn class(self) -> &'static str {
                match self {
                    $(Fault::$name => $class,)*
                }
            }

            /// A few words. Nothing that a server has sent is in them.
            pub fn text(self) -> &'static str {
                match self {
                    $(Fault::$name => $text,)*
                }
            }
        }
    };
}

faults! {
    /// [`Loss::Refused`]
    Refused: "refused", "connection refused";
    /// [`Loss::Connect`]
    Connect: "connect", "connect failed";
    /// [`Loss::NoResources`]
    NoResources: "no_resources", "no resources for a connection";
    /// [`Loss::Eof`]
    Eof: "closed", "closed by the server";
    /// [`Loss::Error`]
    Lost: "lost", "connection failed";
    /// [`Loss::Closing`]
    Closing: "closing", "closed here";
    /// [`Cause::ConnectTimeout`]
    ConnectTimeout: "connect_timeout", "connecting timed out";
    /// [`Cause::Unanswered`]
    Unanswered: "unanswered", "connected, but the greeting timed out";
    /// [`Cause::HungUp`]
    HungUp: "hung_up", "closed by the server at the greeting";
    /// [`Unfit::Foreign`]
    Handshake: "handshake", "not a memcached server";
    /// [`Unfit::TooOld`]
    TooOld: "too_old", "memcached is too old: 1.6.10 or later is needed";
    /// [`Unfit::TooManyConnections`]
    Full: "full", "the server has too many connections";
    /// [`Unfit::Unauthenticated`]
    Unauthenticated: "unauthenticated", "the server wants a password, which is not supported";
    /// [`Unfit::Dialect`]
    Dialect: "dialect", "the server does not know all of memcached's meta commands";
    /// [`Cause::Protocol`]
    Protocol: "protocol", "unexpected reply";
    /// [`Cause::EncodedKey`]
    EncodedKey: "encoded_key", "unexpected reply to a key that was sent encoded";
    /// [`Cause::Refused`]
    Rejected: "rejected", "the server refused a request";
    /// [`Cause::Overdue`]
    Overdue: "overdue", "a reply is overdue";
    /// [`Cause::Timeouts`]
    Timeouts: "timeouts", "operations time out";
    /// [`Error::Timeout`]
    Timeout: "timeout", "an operation timed out";
    /// [`Error::Server`]
    Server: "server", "SERVER_ERROR was answered";
    /// [`Error::Client`]
    Client: "client", "CLIENT_ERROR was answered";
}

impl From<&Cause> for Fault {
    fn from(cause: &Cause) -> Self {
        match cause {
            Cause::Lost(Loss::Refused) => Fault::Refused,
            Cause::Lost(Loss::Connect) => Fault::Connect,
            Cause::Lost(Loss::NoResources) => Fault::NoResources,
            Cause::Lost(Loss::Eof) => Fault::Eof,
            Cause::Lost(Loss::Error) => Fault::Lost,
            Cause::Lost(Loss::Closing) => Fault::Closing,
            Cause::ConnectTimeout => Fault::ConnectTimeout,
            Cause::Unanswered => Fault::Unanswered,
            Cause::HungUp => Fault::HungUp,
            Cause::Unfit(unfit) => match unfit {
                Unfit::Foreign(_) => Fault::Handshake,
                Unfit::TooOld(_) => Fault::TooOld,
                Unfit::TooManyConnections => Fault::Full,
                Unfit::Unauthenticated => Fault::Unauthenticated,
                Unfit::Dialect { .. } => Fault::Dialect,
            },
            Cause::Protocol => Fault::Protocol,
            Cause::EncodedKey => Fault::EncodedKey,
            Cause::Refused => Fault::Rejected,
            Cause::Overdue => Fault::Overdue,
            Cause::Timeouts => Fault::Timeouts,
        }
    }
}

impl Fault {
    /// What an operation's error says of the server. What follows from something that was noted before, such as
    /// [`Error::ServerDown`], says nothing more.
    fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Timeout { .. } => Some(Fault::Timeout),
            Error::Server(_) => Some(Fault::Server),
            Error::Client(_) => Some(Fault::Client),
            _ => None,
        }
    }
}

const CODE_BITS: u32 = 8;

/// The last fault, and when it was: zero for none.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct LastFault(Counter);

impl LastFault {
    pub(crate) fn note(&self, fault: Fault, now: Instant) {
        self.0.set(now.as_micros() << CODE_BITS | (fault as u64).wrapping_add(1));
    }

    pub(crate) fn note_error(&self, error: &Error, now: Instant) {
        if let Some(fault) = Fault::of(error) {
            self.note(fault, now);
        }
    }

    pub(super) fn fold(&self, own: &LastFault) {
        self.0.fold_largest(&own.0);
    }

    /// What it was, and when.
    pub fn get(&self) -> Option<(Fault, Instant)> {
        let word = self.0.get();
        let code = (word & ((1 << CODE_BITS) - 1)).checked_sub(1)?;
        Some((*Fault::ALL.get(code as usize)?, Instant::from_micros(word >> CODE_BITS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_as_it_was_written() {
        let last = LastFault::default();
        assert_eq!(last.get(), None);
        let now = Instant::from_micros(77_000_000_000_001);
        for &fault in Fault::ALL {
            last.note(fault, now);
            assert_eq!(last.get(), Some((fault, now)));
        }
        last.note_error(&Error::ServerDown, now);
        assert_eq!(last.get().map(|(fault, _)| fault), Fault::ALL.last().copied(), "not for what follows from it");
    }
}
