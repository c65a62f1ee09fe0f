//! Why there is no answer.

#![forbid(unsafe_code)]

use thiserror::Error as ThisError;

use crate::sys;

/// Why there is no answer: whose fault it is, whether the server may have carried the operation out all the same, and
/// whether to try again.
///
/// A miss is not an error: operations say it in their result. The text of an error is fit for a log: bytes that a
/// server sent are escaped in it.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// There is no `load_module` line for the memcache module in this nginx.
    #[error("ngx_http_memcache_module is not loaded")]
    NotLoaded,

    /// The loaded module is older than this crate.
    #[error("memcache ABI {} is required, {major}.{minor} is available", REQUIRED)]
    TooOld {
        /// Of the loaded module.
        major: u32,
        /// Of the loaded module.
        minor: u32,
    },

    /// The loaded module has a newer, incompatible interface.
    #[error("memcache ABI {} is required, {major}.{minor} is available", REQUIRED)]
    TooNew {
        /// Of the loaded module.
        major: u32,
        /// Of the loaded module.
        minor: u32,
    },

    /// This sibling was built with bindings of nginx that do not fit its nginx: see [`bits`](crate::http::bits).
    #[error("{0}")]
    WrongBindings(memcache_bits::Wrong),

    /// No `memcache_server` applies to the request's server block.
    #[error("no \"memcache_server\" is defined here")]
    NotConfigured,

    /// There are no clients in this process: it is not a worker.
    #[error("there is no memcache client in this process")]
    NotAvailable,

    /// The connection was lost before a byte of the operation was sent.
    #[error("not sent: the connection was lost")]
    NotSent,

    /// The connection was lost before the reply came.
    #[error("the connection was lost before the reply")]
    Unknown {
        /// The operation writes, and the server may have carried it out.
        maybe_applied: bool,
    },

    /// The deadline passed: in the queue, while connecting, or waiting for the reply.
    #[error("timed out")]
    Timeout {
        /// The operation writes, and the server may have carried it out.
        maybe_applied: bool,
    },

    /// As many operations wait for the server as `memcache_queue` allows, or for the one connection that has writes of the
    /// same key without an answer.
    #[error("too many operations wait for the server")]
    Busy,

    /// The server is down; the module probes it by timer.
    #[error("the server is down")]
    ServerDown,

    /// memcached answered `SERVER_ERROR` with this text. With `object too large for cache` it has also deleted the item that
    /// was there before.
    #[error("SERVER_ERROR {}", .0.escape_ascii())]
    Server(Box<[u8]>),

    /// memcached answered `CLIENT_ERROR` with this text, or `ERROR` with none: above all to a count on what is no number.
    #[error("CLIENT_ERROR {}", .0.escape_ascii())]
    Client(Box<[u8]>),

    /// The server broke the protocol; its connection was closed.
    #[error("the server broke the protocol")]
    Protocol {
        /// The operation writes, and the server may have carried it out.
        maybe_applied: bool,
    },

    /// The client is closing: the worker exits.
    #[error("the client is closed")]
    Shutdown {
        /// The operation writes, and the server may have carried it out.
        maybe_applied: bool,
    },

    /// The key is empty, or longer than 250 bytes together with the prefix (186 if it is sent encoded because it has
    /// control characters, spaces or the like); with `memcache_long_keys hash`, longer than 8192 bytes. Or it has control
    /// characters or spaces, and its server speaks the text protocol.
    #[error("{}", about_key(*.len, .why))]
    InvalidKey {
        /// Bytes of the key, without the prefix.
        len: Option<usize>,
        /// What the module says of a key that its server does not take, with the server's name; empty otherwise.
        why: Box<[u8]>,
    },

    /// The value is larger than `memcache_max_value`; nothing was sent.
    #[error("the value is larger than memcache_max_value")]
    TooLarge,

    /// The value that was read is larger than `memcache_max_value`, and was dropped: somebody with a higher limit stored
    /// it.
    #[error("the item is larger than memcache_max_value")]
    ItemTooLarge,

    /// The server cannot do that; nothing was sent. The text names the server, and says what it cannot do: `server 10.0.0.1:11211
    /// speaks text: it has no leases`. A delete, or a mark as stale, of one version of an item needs memcached
    /// 1.6.13 or later. A server that is spoken to in the text protocol (`memcache_protocol`) has no leases, stale items and
    /// metadata, and compares versions on set alone; what else it may not know depends on the server.
    #[error("{}", .0.escape_ascii())]
    Unsupported(Box<[u8]>),

    /// The call was made on another thread than the event loop's. Use a `Remote` there, with the feature `tokio`.
    #[error("not on the event loop's thread")]
    WrongThread,

    /// A function that another thread had sent to the event loop panicked; the error log has the text.
    #[error("the call panicked")]
    Panicked,

    /// A subset of the servers that has none.
    #[error("no server was chosen")]
    NoServer,

    /// A worker has as many subsets of the client as there may be, `NGX_HTTP_MEMCACHE_MAX_SUBSETS` of the header.
    #[error("too many subsets of the servers")]
    TooMany,

    /// The value could not be encoded; nothing was sent.
    #[error("{0}")]
    Encode(String),

    /// The value that was read is not what the caller expected.
    #[error("{0}")]
    Decode(String),

    /// The worker keeps as many bytes of values for responses as `memcache_max_retained` allows; the value that was read
    /// was dropped.
    #[error("memcache_max_retained is reached")]
    RetainLimit,

    /// This process has no memory for the operation, of which nothing was sent, or for the value that was read.
    #[error("no memory")]
    NoMemory,

    /// The module refused the call, for the reason with this number in the header. A defect of this crate, or a module
    /// that is newer than it.
    #[error("memcache error {0}")]
    Other(u32),
}

/// The version of the interface that this crate was built for.
pub(crate) const REQUIRED: &str = "1.3";

const _: () = assert!(sys::NGX_HTTP_MEMCACHE_ABI_MAJOR == 1 && sys::NGX_HTTP_MEMCACHE_ABI_MINOR == 3);

/// Who can do something about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The code that made the call: a bad key, a value that is too large.
    Caller,
    /// Whoever configured nginx.
    Setup,
    /// More work than the server or the configuration allows.
    Load,
    /// The network between nginx and memcached.
    Network,
    /// memcached, or something that answers in its place.
    Server,
    /// Nobody: the worker is exiting.
    Exit,
    /// This crate or the module: please report it.
    Defect,
}

impl Error {
    /// What each error means to who handles it: who can do something about it, and the HTTP status.
    ///
    /// This table and the enum's texts are all that this crate says of an error. What is a status of the header is held to
    /// the table there by a test, and its text to the engine's.
    fn meaning(&self) -> (Fault, u16) {
        match self {
            Error::NotLoaded | Error::TooOld { .. } | Error::TooNew { .. } => (Fault::Setup, 503),
            Error::WrongBindings(_) | Error::NotConfigured | Error::NotAvailable => (Fault::Setup, 503),
            Error::NotSent => (Fault::Network, 503),
            Error::Unknown { .. } => (Fault::Network, 502),
            Error::Timeout { .. } => (Fault::Server, 504),
            Error::Busy | Error::RetainLimit => (Fault::Load, 503),
            Error::ServerDown => (Fault::Server, 503),
            Error::Server(text) if is_too_large(text) => (Fault::Caller, 413),
            Error::Server(_) | Error::Protocol { .. } => (Fault::Server, 502),
            // About what was asked for, as a bad key is. What else there is (`flush_all` with `-F`) is not.
            Error::Client(text) if is_no_number(text) => (Fault::Caller, 409),
            Error::Client(_) | Error::Decode(_) => (Fault::Caller, 502),
            Error::Shutdown { .. } => (Fault::Exit, 503),
            Error::InvalidKey { .. } => (Fault::Caller, 400),
            Error::TooLarge => (Fault::Caller, 413),
            Error::ItemTooLarge => (Fault::Setup, 502),
            Error::Unsupported(_) => (Fault::Setup, 501),
            Error::NoServer | Error::TooMany | Error::WrongThread => (Fault::Caller, 500),
            Error::Panicked | Error::Encode(_) => (Fault::Caller, 500),
            Error::NoMemory => (Fault::Load, 500),
            Error::Other(_) => (Fault::Defect, 502),
        }
    }

    /// Who can do something about it.
    pub fn fault(&self) -> Fault {
        self.meaning().0
    }

    /// Whether the server may have carried the operation out.
    pub fn maybe_applied(&self) -> bool {
        match *self {
            Error::Unknown { maybe_applied }
            | Error::Timeout { maybe_applied }
            | Error::Protocol { maybe_applied }
            | Error::Shutdown { maybe_applied } => maybe_applied,
            _ => false,
        }
    }

    /// Whether it is safe, and makes sense, to do the same once more at once.
    ///
    /// After [`Busy`](Error::Busy), [`ServerDown`](Error::ServerDown) and [`Timeout`](Error::Timeout) it would be
    /// safe too, but it would only add to the load.
    pub fn should_retry(&self) -> bool {
        match *self {
            Error::NotSent => true,
            Error::Unknown { maybe_applied } | Error::Protocol { maybe_applied } => !maybe_applied,
            _ => false,
        }
    }

    /// Whether the module has logged it. It writes one line for each server and second, with the server's name and how many
    /// operations failed why. A sibling that writes a line for each request with such an error fills the disk while a server is
    /// down.
    ///
    /// The module does not log errors of the caller and of the setup, which no server has caused.
    pub fn is_logged(&self) -> bool {
        match self {
            Error::TooLarge | Error::ItemTooLarge | Error::NoMemory | Error::Server(_) => true,
            error => matches!(error.fault(), Fault::Load | Fault::Network | Fault::Server),
        }
    }

    /// The HTTP status that tells the client of nginx about it: 400, 409, 413, 500, 501, 502, 503 or 504.
    pub fn http_status(&self) -> u16 {
        self.meaning().1
    }

    /// The same, of an operation on this key.
    pub(crate) fn of_key(self, key: usize) -> Self {
        match self {
            Error::InvalidKey { why, .. } => Error::InvalidKey { len: Some(key), why },
            error => error,
        }
    }

    /// From a status of the header that is not a result; `text` is what the server said, if it did.
    pub(crate) fn from_status(status: u32, maybe_applied: bool, text: &[u8]) -> Self {
        match status {
            sys::NGX_HTTP_MEMCACHE_NOT_SENT => Error::NotSent,
            sys::NGX_HTTP_MEMCACHE_UNKNOWN => Error::Unknown { maybe_applied },
            sys::NGX_HTTP_MEMCACHE_TIMEOUT => Error::Timeout { maybe_applied },
            sys::NGX_HTTP_MEMCACHE_BUSY => Error::Busy,
            sys::NGX_HTTP_MEMCACHE_SERVER_DOWN => Error::ServerDown,
            sys::NGX_HTTP_MEMCACHE_SERVER => Error::Server(text.into()),
            sys::NGX_HTTP_MEMCACHE_CLIENT => Error::Client(text.into()),
            sys::NGX_HTTP_MEMCACHE_PROTOCOL => Error::Protocol { maybe_applied },
            sys::NGX_HTTP_MEMCACHE_SHUTDOWN => Error::Shutdown { maybe_applied },
            sys::NGX_HTTP_MEMCACHE_INVALID_KEY => Error::InvalidKey { len: None, why: text.into() },
            sys::NGX_HTTP_MEMCACHE_TOO_LARGE => Error::TooLarge,
            sys::NGX_HTTP_MEMCACHE_NOT_AVAILABLE => Error::NotAvailable,
            sys::NGX_HTTP_MEMCACHE_NOT_CONFIGURED => Error::NotConfigured,
            sys::NGX_HTTP_MEMCACHE_NO_MEMORY => Error::NoMemory,
            sys::NGX_HTTP_MEMCACHE_UNSUPPORTED => Error::Unsupported(text.into()),
            sys::NGX_HTTP_MEMCACHE_WRONG_THREAD => Error::WrongThread,
            sys::NGX_HTTP_MEMCACHE_TOO_MANY => Error::TooMany,
            sys::NGX_HTTP_MEMCACHE_RETAIN_LIMIT => Error::RetainLimit,
            other => Error::Other(other),
        }
    }
}

/// A key of so many bytes is too long only with a prefix, whatever its bytes are.
const SHORT_KEY: usize = 186;

/// A longer key is not made shorter either.
const LONG_KEY: usize = 8192;

/// What is wrong with a key that cannot be sent. How long the prefix is, only the module knows.
fn about_key(len: Option<usize>, why: &[u8]) -> String {
    match len {
        _ if !why.is_empty() => why.escape_ascii().to_string(),
        None => "invalid key".into(),
        Some(0) => "the key is empty".into(),
        Some(len) if len > LONG_KEY => {
            format!("the key of {len} bytes is too long: {LONG_KEY} are the most, also with memcache_long_keys")
        }
        Some(len) if len > SHORT_KEY => format!(
            "the key of {len} bytes is too long: with memcache_prefix, 250 are the most, or 186 with spaces or control \
             characters, unless memcache_long_keys makes it shorter"
        ),
        Some(len) => format!(
            "the key of {len} bytes is too long with memcache_prefix, or it has spaces or control characters, which a server \
             that speaks the text protocol does not take"
        ),
    }
}

/// What memcached says to a store of a value that does not fit into an item of its own (`-I`).
fn is_too_large(text: &[u8]) -> bool {
    text == b"object too large for cache"
}

/// What memcached says to a count on an item that is no number.
fn is_no_number(text: &[u8]) -> bool {
    text == b"cannot increment or decrement non-numeric value"
}

#[cfg(test)]
mod tests;
