//! The engine's answers in the header's terms.

#![forbid(unsafe_code)]

use bytes::Bytes;
use memcache_engine::{Answer, Error, Item, KeyError, Lease, Metadata, Outcome};
use nginx_sys::ngx_str_t;

use super::stats::{LoggedStatus, Severity};
use super::sys::*;

/// What a function of the table returns, and the status of a result.
pub type Status = ngx_http_memcache_status_t;

type Result = ngx_http_memcache_result_t;

/// The result for a handler, and the bytes that its value points to. `stand_in`: the key's own server was down.
pub fn result_of(answer: Answer, stand_in: bool) -> (Result, Bytes) {
    let mut result = Result {
        size: size_of::<Result>(),
        status: NGX_HTTP_MEMCACHE_OK,
        maybe_applied: 0,
        cas: 0,
        number: 0,
        flags: 0,
        value: ngx_str_t::empty(),
        lease: NGX_HTTP_MEMCACHE_LEASE_NONE,
        stale: 0,
        length: 0,
        ttl: 0,
        idle: 0,
        fetched: 0,
        leased: 0,
        stand_in: stand_in.into(),
        reserved: 0,
    };
    let value = match answer {
        Ok(outcome) => fill(&mut result, outcome),
        Err(error) => {
            result.status = status_of(&error);
            result.maybe_applied = error.maybe_applied().into();
            match error {
                Error::Server(text) | Error::Client(text) | Error::Unsupported(text) => text,
                // What is wrong with other keys depends on the key and the configuration alone.
                Error::InvalidKey(why @ KeyError::NotText(_)) => why.to_string().into(),
                _ => Bytes::new(),
            }
        }
    };
    result.value = ngx_str_t { len: value.len(), data: value.as_ptr().cast_mut() };
    (result, value)
}

/// Fills in what the server has answered, except for the value, which is returned.
fn fill(result: &mut Result, outcome: Outcome) -> Bytes {
    match outcome {
        Outcome::Done => {}
        Outcome::Miss => result.status = NGX_HTTP_MEMCACHE_MISS,
        Outcome::NotStored => result.status = NGX_HTTP_MEMCACHE_NOT_STORED,
        Outcome::Exists => result.status = NGX_HTTP_MEMCACHE_EXISTS,
        Outcome::Number(number) => result.number = number,
        Outcome::Text(text) => return text,
        Outcome::Item(item) => return fill_item(result, Some(item)),
        Outcome::Lease(lease) => return fill_lease(result, lease),
        Outcome::Metadata(metadata) => fill_metadata(result, metadata),
        // The results of a batch are converted one by one.
        Outcome::Many(_) => result.status = NGX_HTTP_MEMCACHE_INTERNAL,
    }
    Bytes::new()
}

fn fill_item(result: &mut Result, item: Option<Item>) -> Bytes {
    let Some(item) = item else {
        result.status = NGX_HTTP_MEMCACHE_MISS;
        return Bytes::new();
    };
    result.cas = item.cas;
    result.flags = item.flags;
    item.value
}

fn fill_lease(result: &mut Result, lease: Lease) -> Bytes {
    match lease {
        Lease::Hit(item) => fill_item(result, Some(item)),
        Lease::Won { cas, old, stale } => {
            result.lease = NGX_HTTP_MEMCACHE_LEASE_WON;
            result.stale = stale.into();
            let value = fill_item(result, old);
            result.cas = cas;
            value
        }
        Lease::Lost { cas, old } => {
            result.lease = NGX_HTTP_MEMCACHE_LEASE_LOST;
            result.stale = old.is_some().into();
            let value = fill_item(result, old);
            result.cas = cas;
            value
        }
    }
}

fn fill_metadata(result: &mut Result, metadata: Metadata) {
    result.cas = metadata.cas;
    result.flags = metadata.flags;
    result.stale = metadata.stale.into();
    result.length = metadata.size;
    result.ttl = metadata.ttl.map_or(NGX_HTTP_MEMCACHE_NEVER, |secs| secs.min(LAST));
    result.idle = metadata.idle;
    result.fetched = metadata.fetched.into();
    result.leased = metadata.leased.into();
}

/// The longest finite time.
const LAST: u32 = NGX_HTTP_MEMCACHE_NEVER - 1;

/// The header's number of an error.
pub fn status_of(error: &Error) -> Status {
    match error {
        Error::NotSent => NGX_HTTP_MEMCACHE_NOT_SENT,
        Error::Unknown { .. } => NGX_HTTP_MEMCACHE_UNKNOWN,
        Error::Timeout { .. } => NGX_HTTP_MEMCACHE_TIMEOUT,
        Error::Busy => NGX_HTTP_MEMCACHE_BUSY,
        Error::ServerDown => NGX_HTTP_MEMCACHE_SERVER_DOWN,
        Error::Server(_) => NGX_HTTP_MEMCACHE_SERVER,
        Error::Client(_) => NGX_HTTP_MEMCACHE_CLIENT,
        Error::Protocol { .. } => NGX_HTTP_MEMCACHE_PROTOCOL,
        Error::Shutdown { .. } => NGX_HTTP_MEMCACHE_SHUTDOWN,
        Error::InvalidKey(_) => NGX_HTTP_MEMCACHE_INVALID_KEY,
        Error::TooLarge { .. } => NGX_HTTP_MEMCACHE_TOO_LARGE,
        Error::NoSuchServer => NGX_HTTP_MEMCACHE_INVALID,
        Error::NoMemory => NGX_HTTP_MEMCACHE_NO_MEMORY,
        Error::Unsupported(_) => NGX_HTTP_MEMCACHE_UNSUPPORTED,
    }
}

/// The access log's word for an operation that its request has cancelled.
pub const CANCELLED: LoggedStatus = LoggedStatus { severity: Severity::Error, word: "CANCELLED" };

// The names of the header's statuses.
include!(concat!(env!("OUT_DIR"), "/names.rs"));

/// The access log's word for a result: the header's name of its status, or `HIT`. `reads`: the operation can hit or miss.
pub fn logged_status(status: Status, reads: bool) -> LoggedStatus {
    let name = || NAMES.iter().find(|(number, _)| *number == status).map_or("INTERNAL", |(_, name)| name);
    let (severity, word) = match status {
        NGX_HTTP_MEMCACHE_OK if reads => (Severity::Hit, "HIT"),
        NGX_HTTP_MEMCACHE_OK => (Severity::Fine, "OK"),
        NGX_HTTP_MEMCACHE_MISS..=NGX_HTTP_MEMCACHE_EXISTS => (Severity::Miss, name()),
        _ => (Severity::Error, name()),
    };
    LoggedStatus { severity, word }
}
