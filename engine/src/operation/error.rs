//! Why an operation did not get an answer.
//!
//! # What is sent again
//!
//! When a connection ends, each operation that was on its way is sent again or ends with an error:
//!
//! | written | operation | tried again before | its deadline | a server that is live | then |
//! |---|---|---|---|---|---|
//! | nothing of it | any | no | ahead | there is one | it is sent again |
//! | nothing of it | any | no | ahead | none | `ServerDown` |
//! | nothing of it | any | yes, or its deadline passed | | live | `NotSent` |
//! | nothing of it | any | yes, or its deadline passed | | none | `ServerDown` |
//! | a part or all | read | no | ahead | there is one | it is sent again |
//! | a part or all | read | otherwise | | | `Unknown`, not applied |
//! | a part or all | write | | | | `Unknown`, maybe applied |
//!
//! Two kinds of ends are not like the others. Where the server broke the protocol, the operation whose reply was due is
//! `Protocol`, and never sent again: it would bring the same. Where the worker exits and nginx closes its connections,
//! everything is `Shutdown`, maybe applied if it writes and was written.
//!
//! A live server is the key's own or, with `memcache_failover next` or `backup`, the one that stands in for it. So an operation
//! goes to the network twice at most, and one that writes does so only if nothing of it was written the first time.

use bytes::Bytes;
use thiserror::Error;

use crate::operation::key::KeyError;

/// Why an operation did not get an answer. A miss is not an error but an [`Outcome`](crate::Outcome).
///
/// Each of these is a status of `include/ngx_http_memcache.h`, where a table says whose fault it is, whether the server may
/// have carried the operation out, and whether to try again. The engine does not know that table. `src/abi/outcome.rs` does
/// not compile without a status for each, and the tests of `api/` compare the texts with those of that crate.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// The connection was lost before a byte of the operation was handed to the network.
    #[error("not sent: the connection was lost")]
    NotSent,

    /// The connection was lost after at least a part of the operation was written.
    #[error("the connection was lost before the reply")]
    Unknown {
        /// The operation writes, and the server may have carried it out.
        maybe_applied: bool,
    },

    /// The deadline passed: in the queue, while connecting, or waiting for the reply.
    #[error("timed out")]
    Timeout {
        /// The operation writes, and at least a part of it had been sent.
        maybe_applied: bool,
    },

    /// As many operations wait for the server as the configuration allows, or for the one connection that has writes of the
    /// same key without an answer.
    #[error("too many operations wait for the server")]
    Busy,

    /// The server is down; it is probed by timer, never by a caller's operation.
    #[error("the server is down")]
    ServerDown,

    /// `SERVER_ERROR` with this text; at most [`MAX_LINE`](crate::MAX_LINE) bytes, as they came.
    #[error("SERVER_ERROR {}", .0.escape_ascii())]
    Server(Bytes),

    /// `CLIENT_ERROR` with this text, or `ERROR` with none.
    #[error("CLIENT_ERROR {}", .0.escape_ascii())]
    Client(Bytes),

    /// The server's answer does not belong to the operation, or is not the protocol at all.
    #[error("the server broke the protocol")]
    Protocol {
        /// The operation writes, and at least a part of it had been sent.
        maybe_applied: bool,
    },

    /// The client is closed.
    #[error("the client is closed")]
    Shutdown {
        /// The operation writes, and at least a part of it had been sent.
        maybe_applied: bool,
    },

    /// The key cannot be sent.
    #[error(transparent)]
    InvalidKey(#[from] KeyError),

    /// The value is larger than the configuration allows: one to store, of which nothing was sent, or one that was
    /// read, and dropped.
    #[error("a value of {size} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// Bytes of the value.
        size: usize,
        /// The configured maximum.
        limit: usize,
    },

    /// This process has no memory for the operation, of which nothing was sent, or for the value that was read, which
    /// was dropped.
    #[error("no memory")]
    NoMemory,

    /// The server cannot do that; nothing was sent. The text names the server, and says what it cannot do. That depends on what
    /// it speaks: see README, *Which servers*. Before 1.6.13, memcached's meta commands delete and mark no single version of
    /// an item.
    ///
    /// An operation ends with this, and is never rejected with it: so there is always an answer with the text.
    #[error("{}", .0.escape_ascii())]
    Unsupported(Bytes),

    /// The client has no server with this number.
    #[error("there is no such server")]
    NoSuchServer,
}

impl Error {
    /// Whether the server may have carried the operation out all the same.
    pub fn maybe_applied(&self) -> bool {
        match *self {
            Error::Unknown { maybe_applied }
            | Error::Timeout { maybe_applied }
            | Error::Protocol { maybe_applied }
            | Error::Shutdown { maybe_applied } => maybe_applied,
            _ => false,
        }
    }
}
