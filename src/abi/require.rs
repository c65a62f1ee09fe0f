//! What a sibling asks for while the configuration is read.

#![allow(unsafe_code)]

use nginx_sys::ngx_conf_t;

use super::{answer, checked, Status};
use crate::cluster::Clusters;
use crate::conf::Want;
use crate::sys::*;

/// Nothing of a worker is needed for this one.
pub(super) unsafe extern "C" fn require(cf: *mut ngx_conf_t) -> Status {
    answer(|| {
        // SAFETY: the caller passes what nginx has given to the handler of a directive, or NULL.
        unsafe { checked(cf) }?;
        // SAFETY: as above.
        let want = unsafe { Want::of_line(cf) }.ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        // SAFETY: as above; the line is in a block of HTTP, and nothing else refers to it while a line is read.
        let clusters = unsafe { Clusters::of_conf(cf) }.ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        clusters.wanted.push(want);
        Ok(())
    })
}
