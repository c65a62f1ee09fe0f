//! What is asked of a request, and of what nginx says.

use memcache_bits::request as bits;
use ngx::core::Status;
use ngx::http::Request;

/// Whether nginx is destroying the request's pool, or says otherwise that it is the last to use the request.
pub(super) fn is_gone(request: &Request) -> bool {
    // SAFETY: a request has a main one.
    let main = unsafe { &*request.as_ref().main };
    main.pool.is_null() || bits::count(main) == 0
}

/// Whether nginx has done what it was asked for.
pub(super) fn ok(status: ngx::ffi::ngx_int_t) -> Result<(), Status> {
    if status == Status::NGX_OK.0 {
        Ok(())
    } else {
        Err(Status(status))
    }
}
