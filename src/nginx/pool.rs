//! Rust values in nginx's pools.

#![allow(unsafe_code)]

use core::ffi::c_void;
use core::ptr::NonNull;

use nginx_sys::{ngx_pool_cleanup_add, ngx_pool_t, NGX_ALIGNMENT};

use crate::nginx::guard::guard;

/// Moves a value into the pool, which drops it when it is destroyed. `None`: there is no memory, and the value is
/// dropped at once.
///
/// # Safety
///
/// The pool is there. The pointer is valid until the pool is destroyed; what the value's `Drop` uses lives as long.
pub unsafe fn place<T>(pool: *mut ngx_pool_t, value: T) -> Option<NonNull<T>> {
    const { assert!(align_of::<T>() <= NGX_ALIGNMENT, "pools do not align to more than this") };

    // SAFETY: the pool is there. Memory of a cleanup record is aligned to NGX_ALIGNMENT; it is not of size zero,
    // for which nginx would not allocate any.
    let cleanup = unsafe { ngx_pool_cleanup_add(pool, size_of::<T>().max(1)).as_mut() }?;
    let place = NonNull::new(cleanup.data.cast::<T>())?;
    // SAFETY: the memory is ours, aligned and large enough. Only now, with a value in it, may it be dropped.
    unsafe { place.write(value) };
    cleanup.handler = Some(drop_value::<T>);
    Some(place)
}

unsafe extern "C" fn drop_value<T>(value: *mut c_void) {
    guard((), || {
        // SAFETY: `place` wrote a T there; the pool calls this once, when nothing uses the value any more.
        unsafe { value.cast::<T>().drop_in_place() };
    });
}
