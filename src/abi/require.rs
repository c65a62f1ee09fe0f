//! What a sibling asks for while the configuration is read.

#![allow(unsafe_code)]

use nginx_sys::ngx_conf_t;

use super::{answer, checked, Status};
use crate::cluster::{Clusters, Want};
use crate::nginx::conf::Conf;
use crate::sys::*;

/// Nothing of a worker is needed for this one.
pub(super) unsafe extern "C" fn require(cf: *mut ngx_conf_t) -> Status {
    answer(|| {
        // SAFETY: the caller passes what nginx has given to the handler of a directive, or NULL.
        unsafe { checked(cf) }?;
        // SAFETY: as above; nothing else refers to it while a line is read.
        let mut line = unsafe { Conf::new(cf) }.ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        let want = Want::of_line(&line).ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        let clusters = line.main::<Clusters>().ok_or(NGX_HTTP_MEMCACHE_INVALID)?;
        clusters.wanted.push(want);
        Ok(())
    })
}
