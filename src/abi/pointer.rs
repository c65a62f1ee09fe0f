//! Checks of pointers, and the return value of the table's functions.

#![allow(unsafe_code)]

use super::outcome::Status;
use super::sys::*;
use crate::nginx::guard::guard;

/// The status that a call returns.
pub fn answer(call: impl FnOnce() -> Result<(), Status>) -> Status {
    guard(NGX_HTTP_MEMCACHE_INTERNAL, || call().err().unwrap_or(NGX_HTTP_MEMCACHE_OK))
}

/// # Safety
///
/// A pointer that is not NULL and aligned points to a T that is there for the call.
pub unsafe fn checked<'a, T>(ptr: *const T) -> Result<&'a T, Status> {
    if !ptr.is_aligned() {
        return Err(NGX_HTTP_MEMCACHE_INVALID);
    }
    // SAFETY: by the contract.
    unsafe { ptr.as_ref() }.ok_or(NGX_HTTP_MEMCACHE_INVALID)
}

/// # Safety
///
/// As for [`checked`], and nothing else refers to it.
pub unsafe fn checked_mut<'a, T>(ptr: *mut T) -> Result<&'a mut T, Status> {
    if !ptr.is_aligned() {
        return Err(NGX_HTTP_MEMCACHE_INVALID);
    }
    // SAFETY: by the contract.
    unsafe { ptr.as_mut() }.ok_or(NGX_HTTP_MEMCACHE_INVALID)
}
