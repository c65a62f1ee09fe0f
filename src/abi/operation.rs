//! Checks a sibling's operation, and converts it into the engine's types.

#![allow(unsafe_code)]

use core::num::NonZeroU32;
use core::slice;
use core::time::Duration;

use bytes::Bytes;
use memcache_engine::{Direction, Request, ServerVerb, StoreMode, Ttl, Verb, MAX_LONG_KEY};
use nginx_sys::ngx_str_t;

use super::outcome::Status;
use super::sys::*;
use crate::nginx::clock;

/// memcached reads a larger number of seconds as a point in time.
const THIRTY_DAYS: u32 = 30 * 24 * 60 * 60;

/// An operation.
pub enum Operation<'a> {
    /// An operation on a key.
    Keyed(Request<'a>),
    /// A value for this key that is larger than `memcache_max_value`, which is all that is known of it.
    TooLarge {
        /// The key.
        key: &'a [u8],
        /// The value's length.
        size: usize,
    },
    /// An operation on a server.
    OnServer {
        /// Its number.
        server: usize,
        /// The operation.
        verb: ServerVerb,
        /// The deadline, if it is not the configured one.
        timeout: Option<Duration>,
    },
}

impl Operation<'_> {
    /// Whether it can hit or miss.
    pub fn reads(&self) -> bool {
        matches!(self, Operation::Keyed(Request { verb: Verb::Get { .. } | Verb::Lease { .. }, .. }))
    }
}

/// Checks an operation and copies its value.
///
/// # Safety
///
/// The strings of `op` point to as many bytes as they say.
pub unsafe fn read<'a>(op: &'a ngx_http_memcache_op_t, max_value: usize) -> Result<Operation<'a>, Status> {
    check_extras(op)?;
    let timeout = (op.timeout != 0).then(|| Duration::from_millis(op.timeout as u64));
    if let Some(verb) = server_verb(op)? {
        return Ok(Operation::OnServer { server: op.server, verb, timeout });
    }

    // SAFETY: by the contract.
    let key = unsafe { key(&op.key) }?;
    if stores(op) && op.value.len > max_value {
        return Ok(Operation::TooLarge { key, size: op.value.len });
    }
    let ttl = || Ttl::secs(op.ttl, clock::unix_secs());
    let store = |mode, flags, ttl| -> Result<Verb, Status> {
        // SAFETY: by the contract.
        let value = unsafe { copy(&op.value) }?;
        Ok(Verb::Store { mode, value, flags, ttl, cas: op.cas })
    };
    let count = |direction| {
        let initial = (op.options & NGX_HTTP_MEMCACHE_INITIAL != 0).then(|| (op.initial, ttl()));
        Verb::Count { direction, delta: op.delta, initial, cas: op.cas }
    };
    let verb = match op.op {
        NGX_HTTP_MEMCACHE_GET => Verb::Get { touch: None },
        NGX_HTTP_MEMCACHE_GAT => Verb::Get { touch: Some(ttl()) },
        NGX_HTTP_MEMCACHE_SET => store(StoreMode::Set, op.flags, ttl())?,
        NGX_HTTP_MEMCACHE_ADD => store(StoreMode::Add, op.flags, ttl())?,
        NGX_HTTP_MEMCACHE_REPLACE => store(StoreMode::Replace, op.flags, ttl())?,
        NGX_HTTP_MEMCACHE_APPEND => store(StoreMode::Append, 0, Ttl::NEVER)?,
        NGX_HTTP_MEMCACHE_PREPEND => store(StoreMode::Prepend, 0, Ttl::NEVER)?,
        NGX_HTTP_MEMCACHE_DELETE => Verb::Delete { cas: op.cas },
        NGX_HTTP_MEMCACHE_INCR => count(Direction::Incr),
        NGX_HTTP_MEMCACHE_DECR => count(Direction::Decr),
        NGX_HTTP_MEMCACHE_TOUCH => Verb::Touch { ttl: ttl() },
        NGX_HTTP_MEMCACHE_LEASE => lease(op)?,
        NGX_HTTP_MEMCACHE_INVALIDATE => Verb::Invalidate { ttl: (op.ttl != 0).then(ttl), cas: op.cas },
        NGX_HTTP_MEMCACHE_INSPECT => Verb::Inspect,
        _ => return Err(NGX_HTTP_MEMCACHE_INVALID),
    };
    Ok(Operation::Keyed(Request { key, verb, timeout }))
}

/// A sibling's gets of many keys, checked.
pub struct Many<'a> {
    keys: &'a [ngx_str_t],
    /// The new expiry, if any.
    pub touch: Option<Ttl>,
    /// The deadline, if it is not the configured one.
    pub timeout: Option<Duration>,
}

impl<'a> Many<'a> {
    /// Checks what all keys have in common. An invalid key is an error of that key alone.
    ///
    /// # Safety
    ///
    /// The list of keys is as long as `many` says, and each points to as many bytes as it says.
    pub unsafe fn read(many: &'a ngx_http_memcache_many_t) -> Result<Many<'a>, Status> {
        let touch = match many.op {
            NGX_HTTP_MEMCACHE_GET => None,
            NGX_HTTP_MEMCACHE_GAT => Some(Ttl::secs(many.ttl, clock::unix_secs())),
            _ => return Err(NGX_HTTP_MEMCACHE_INVALID),
        };
        if many.nkeys > NGX_HTTP_MEMCACHE_MAX_KEYS as usize {
            return Err(NGX_HTTP_MEMCACHE_TOO_MANY);
        }
        if many.nkeys == 0 || many.keys.is_null() || !many.keys.is_aligned() {
            return Err(NGX_HTTP_MEMCACHE_INVALID);
        }
        // SAFETY: by the contract; the length was bounded just now.
        let keys = unsafe { slice::from_raw_parts(many.keys, many.nkeys) };
        if keys.iter().any(|key| key.len > 0 && key.data.is_null()) {
            return Err(NGX_HTTP_MEMCACHE_INVALID);
        }
        let options = if many.request.is_null() { 0 } else { NGX_HTTP_MEMCACHE_COUNT };
        if many.options & !options != 0 || many.reserved != 0 {
            return Err(NGX_HTTP_MEMCACHE_INVALID);
        }
        let timeout = (many.timeout != 0).then(|| Duration::from_millis(many.timeout as u64));
        Ok(Many { keys, touch, timeout })
    }

    /// The keys. For one that is too long for every client, an empty one is returned, which is refused as well, so that its
    /// length is not trusted.
    pub fn keys(&self) -> impl Iterator<Item = &'a [u8]> {
        self.keys.iter().map(|key| match key.len {
            // SAFETY: by the contract of `read`, which has found that none is NULL.
            ..=MAX_LONG_KEY => unsafe { bytes_of(key) }.unwrap_or_default(),
            _ => &[],
        })
    }
}

/// A key's bytes. The engine checks whether they can be sent as a key.
///
/// # Safety
///
/// The string points to as many bytes as it says, for as long as it is borrowed.
pub unsafe fn key(text: &ngx_str_t) -> Result<&[u8], Status> {
    if text.len > MAX_LONG_KEY {
        return Err(NGX_HTTP_MEMCACHE_INVALID_KEY);
    }
    // SAFETY: by the contract.
    unsafe { bytes_of(text) }.ok_or(NGX_HTTP_MEMCACHE_INVALID)
}

/// Whether the operation has a value.
fn stores(op: &ngx_http_memcache_op_t) -> bool {
    matches!(
        op.op,
        NGX_HTTP_MEMCACHE_SET
            | NGX_HTTP_MEMCACHE_ADD
            | NGX_HTTP_MEMCACHE_REPLACE
            | NGX_HTTP_MEMCACHE_APPEND
            | NGX_HTTP_MEMCACHE_PREPEND
    )
}

/// An operation on a server; `None`: it is one on a key.
fn server_verb(op: &ngx_http_memcache_op_t) -> Result<Option<ServerVerb>, Status> {
    Ok(Some(match op.op {
        NGX_HTTP_MEMCACHE_VERSION => ServerVerb::Version,
        NGX_HTTP_MEMCACHE_NOOP => ServerVerb::Noop,
        NGX_HTTP_MEMCACHE_STATS => ServerVerb::Stats,
        NGX_HTTP_MEMCACHE_FLUSH_ALL if op.ttl > THIRTY_DAYS => return Err(NGX_HTTP_MEMCACHE_INVALID),
        NGX_HTTP_MEMCACHE_FLUSH_ALL => ServerVerb::FlushAll { delay: op.ttl },
        _ => return Ok(None),
    }))
}

fn lease(op: &ngx_http_memcache_op_t) -> Result<Verb, Status> {
    let vivify = NonZeroU32::new(op.ttl).filter(|secs| secs.get() <= THIRTY_DAYS).ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
    if op.recache > THIRTY_DAYS {
        return Err(NGX_HTTP_MEMCACHE_INVALID);
    }
    let wait = op.options & NGX_HTTP_MEMCACHE_WAIT != 0;
    Ok(Verb::Lease { vivify, recache: op.recache, wait })
}

/// Refuses a condition or an option that the operation does not have: without it, the operation would do something else.
fn check_extras(op: &ngx_http_memcache_op_t) -> Result<(), Status> {
    let counts = matches!(op.op, NGX_HTTP_MEMCACHE_INCR | NGX_HTTP_MEMCACHE_DECR);
    let compares = match op.op {
        NGX_HTTP_MEMCACHE_SET | NGX_HTTP_MEMCACHE_DELETE | NGX_HTTP_MEMCACHE_INVALIDATE => true,
        NGX_HTTP_MEMCACHE_APPEND | NGX_HTTP_MEMCACHE_PREPEND => true,
        // What creates a missing item has no version to compare.
        _ => counts && op.options & NGX_HTTP_MEMCACHE_INITIAL == 0,
    };
    let leases = op.op == NGX_HTTP_MEMCACHE_LEASE;
    let options = match () {
        () if counts => NGX_HTTP_MEMCACHE_INITIAL,
        () if leases => NGX_HTTP_MEMCACHE_WAIT,
        () => 0,
    };
    let options = options | if op.request.is_null() { 0 } else { NGX_HTTP_MEMCACHE_COUNT };
    if op.options & !options != 0 || (op.cas != 0 && !compares) || (op.recache != 0 && !leases) || op.reserved != 0 {
        return Err(NGX_HTTP_MEMCACHE_INVALID);
    }
    Ok(())
}

/// # Safety
///
/// The string points to as many bytes as it says, for as long as it is borrowed.
unsafe fn bytes_of(text: &ngx_str_t) -> Option<&[u8]> {
    match text.len {
        0 => Some(&[]),
        _ if text.data.is_null() => None,
        // SAFETY: by the contract; callers have bounded the length.
        len => Some(unsafe { slice::from_raw_parts(text.data, len) }),
    }
}

/// # Safety
///
/// As for [`bytes_of`].
unsafe fn copy(text: &ngx_str_t) -> Result<Bytes, Status> {
    // SAFETY: by the contract.
    let bytes = unsafe { bytes_of(text) }.ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| NGX_HTTP_MEMCACHE_NO_MEMORY)?;
    copy.extend_from_slice(bytes);
    Ok(copy.into())
}
