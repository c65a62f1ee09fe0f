//! What the module answers.

use crate::error::Error;
use crate::ffi::call::Answer;
use crate::ffi::table::{Table, Value};
use crate::operation::item::Item;
use crate::operation::origin::Origin;
use crate::sys;

/// What a get of many found.
pub(crate) type Found = Result<Option<Item>, Error>;

/// The answer of the module, except errors.
pub(crate) struct Reply {
    pub(crate) status: u32,
    pub(crate) cas: u64,
    pub(crate) number: u64,
    pub(crate) flags: u32,
    pub(crate) value: Value,
    pub(crate) lease: u32,
    pub(crate) stale: bool,
    pub(crate) length: usize,
    pub(crate) ttl: u32,
    pub(crate) idle: u32,
    pub(crate) fetched: bool,
    pub(crate) leased: bool,
    pub(crate) origin: Origin,
}

impl Answer for Result<Reply, Error> {
    fn take(table: Table, result: &sys::ngx_http_memcache_result_t) -> Self {
        reply(table, result)
    }

    fn refused(error: Error) -> Self {
        Err(error)
    }
}

impl Answer for Found {
    fn take(table: Table, result: &sys::ngx_http_memcache_result_t) -> Self {
        found(table, result)
    }

    fn refused(error: Error) -> Self {
        Err(error)
    }
}

/// Whether there is a result, and not an error.
fn check(result: &sys::ngx_http_memcache_result_t) -> Result<(), Error> {
    match result.status {
        ..=sys::NGX_HTTP_MEMCACHE_EXISTS => Ok(()),
        sys::NGX_HTTP_MEMCACHE_TOO_LARGE => Err(Error::ItemTooLarge),
        status => Err(Error::from_status(status, result.maybe_applied != 0, result.value.as_bytes())),
    }
}

/// What a get found.
fn found(table: Table, result: &sys::ngx_http_memcache_result_t) -> Found {
    check(result)?;
    match result.status {
        sys::NGX_HTTP_MEMCACHE_OK => {
            let origin = Origin::new(result.stand_in);
            Ok(Some(Item::new(table.retain(result)?, result.flags, result.cas, origin)))
        }
        _ => Ok(None),
    }
}

fn reply(table: Table, result: &sys::ngx_http_memcache_result_t) -> Result<Reply, Error> {
    check(result)?;
    Ok(Reply {
        status: result.status,
        cas: result.cas,
        number: result.number,
        flags: result.flags,
        value: table.retain(result)?,
        lease: result.lease,
        stale: result.stale != 0,
        length: result.length,
        ttl: result.ttl,
        idle: result.idle,
        fetched: result.fetched != 0,
        leased: result.leased != 0,
        origin: Origin::new(result.stand_in),
    })
}

#[cfg(test)]
mod tests;
