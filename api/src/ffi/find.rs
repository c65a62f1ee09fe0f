//! Finding the module's function table in the running nginx.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::CStr;
use std::mem;

use crate::error::Error;
use crate::ffi::table::Table;
use crate::nginx::cycle::{CycleRef, Identity};
use crate::sys;

thread_local! {
    /// The last table and what it was found for: the walk over the modules takes microseconds.
    static FOUND: Cell<Option<(Identity, Table)>> = const { Cell::new(None) };
}

/// The function table for the configuration that the worker runs with.
pub(crate) fn table() -> Result<Table, Error> {
    let cycle = CycleRef::current().ok_or(Error::NotLoaded)?;
    match FOUND.get() {
        Some((known, table)) if known == cycle.identity() => Ok(table),
        _ => {
            let table = in_cycle(cycle)?;
            FOUND.set(Some((cycle.identity(), table)));
            Ok(table)
        }
    }
}

/// What the header's inline function `ngx_http_memcache_api()` does: finds the module by its name, and checks that its
/// interface is the one that this crate was built for; and before, that this crate's nginx is the one that runs. While a
/// configuration is read, the cycle is that one's.
pub(crate) fn in_cycle(cycle: CycleRef<'_>) -> Result<Table, Error> {
    memcache_bits::check().map_err(Error::WrongBindings)?;

    let module = CStr::from_bytes_with_nul(NAME).ok().and_then(|name| cycle.module(name)).ok_or(Error::NotLoaded)?;
    // The context of another module that has this name may end where ours goes on.
    if module.spare_hook0 != sys::NGX_HTTP_MEMCACHE_MAGIC as usize {
        return Err(Error::NotLoaded);
    }
    // SAFETY: a module with this marker has the extended context of the header; "magic" confirms it.
    let context = unsafe { module.ctx.cast::<sys::ngx_http_memcache_module_ctx_t>().as_ref() };
    let context = context
        .filter(|context| context.magic == sys::NGX_HTTP_MEMCACHE_MAGIC && !context.api.is_null())
        .ok_or(Error::NotLoaded)?;

    let (major, minor) = (context.major, context.minor);
    if major > sys::NGX_HTTP_MEMCACHE_ABI_MAJOR {
        return Err(Error::TooNew { major, minor });
    }
    // SAFETY: the size comes first in every version of the table.
    let size = unsafe { (*context.api).size };
    if (major, minor) < (sys::NGX_HTTP_MEMCACHE_ABI_MAJOR, sys::NGX_HTTP_MEMCACHE_ABI_MINOR)
        || size < mem::size_of::<sys::ngx_http_memcache_api_t>()
    {
        return Err(Error::TooOld { major, minor });
    }
    // SAFETY: the table is as large as we know it, and a static of the module, which nginx never unmaps.
    Ok(Table::new(unsafe { &*context.api }))
}

const NAME: &[u8] = sys::NGX_HTTP_MEMCACHE_MODULE_NAME;
