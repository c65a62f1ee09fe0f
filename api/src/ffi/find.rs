//! Finding the module's function table in the running nginx.

use std::cell::Cell;
use std::ffi::CStr;
use std::mem;
use std::slice;

use nginx_sys::{ngx_cycle, ngx_cycle_t, ngx_module_t};

use crate::error::Error;
use crate::ffi::table::Table;
use crate::sys;

thread_local! {
    /// The last table and what it was found for: the walk over the modules takes microseconds.
    static FOUND: Cell<Option<(Place, Table)>> = const { Cell::new(None) };
}

/// A cycle and its list of modules, to see that neither has changed.
type Place = (*const ngx_cycle_t, *const *mut ngx_module_t);

/// The function table for the configuration that the worker runs with.
pub(crate) fn table() -> Result<Table, Error> {
    // SAFETY: nginx sets ngx_cycle before it calls any module, and changes it only between two events.
    let cycle = unsafe { ngx_cycle } as *const ngx_cycle_t;
    // SAFETY: as above; the current cycle is alive.
    let place = (cycle, unsafe { (*cycle).modules }.cast_const());

    match FOUND.get() {
        Some((known, table)) if known == place => Ok(table),
        _ => {
            // SAFETY: as above.
            let table = unsafe { in_cycle(cycle) }?;
            FOUND.set(Some((place, table)));
            Ok(table)
        }
    }
}

/// What the header's inline function `ngx_http_memcache_api()` does: finds the module by its name, and checks that its
/// interface is the one that this crate was built for; and before, that this crate's nginx is the one that runs.
///
/// # Safety
///
/// `cycle` is alive. While a configuration is read, it is `cf->cycle`.
pub(crate) unsafe fn in_cycle(cycle: *const ngx_cycle_t) -> Result<Table, Error> {
    memcache_bits::check().map_err(Error::WrongBindings)?;

    // SAFETY: guaranteed by the caller.
    let cycle = unsafe { &*cycle };
    if cycle.modules.is_null() {
        return Err(Error::NotLoaded);
    }
    // SAFETY: nginx keeps modules_n pointers to modules there.
    let modules = unsafe { slice::from_raw_parts(cycle.modules, cycle.modules_n) };

    let module = modules
        .iter()
        // SAFETY: nginx gives every module its name, a C string, before it adds the module to a cycle.
        .find(|&&module| unsafe { CStr::from_ptr((*module).name) }.to_bytes_with_nul() == NAME)
        .ok_or(Error::NotLoaded)?;

    // SAFETY: a module of a cycle, which stays loaded.
    let (marker, context) = unsafe { ((**module).spare_hook0, (**module).ctx) };
    // The context of another module that has this name may end where ours goes on.
    if marker != sys::NGX_HTTP_MEMCACHE_MAGIC as usize {
        return Err(Error::NotLoaded);
    }
    // SAFETY: a module with this marker has the extended context of the header; "magic" confirms it.
    let context = unsafe { context.cast::<sys::ngx_http_memcache_module_ctx_t>().as_ref() };
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
