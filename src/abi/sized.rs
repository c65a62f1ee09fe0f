//! Structures with a size field: a sibling with an earlier header has smaller ones.
//!
//! Fields are only added at the end. So the structure of such a sibling is the beginning of ours; the rest is zero.

#![allow(unsafe_code)]

use core::mem::{offset_of, MaybeUninit};
use core::ptr;

use super::outcome::Status;
use super::sys::*;

/// A structure that begins with its size, and grows at its end.
///
/// # Safety
///
/// A `usize` comes first, and all zeros are a value of the type.
pub unsafe trait Grows {
    /// The size in the first version that had it: no sibling has a smaller one.
    const LEAST: usize;
}

// SAFETY: numbers, pointers that may be NULL, and a function that may be; `size` comes first.
unsafe impl Grows for ngx_http_memcache_op_t {
    const LEAST: usize = offset_of!(Self, recache);
}

// SAFETY: numbers, pointers that may be NULL, and a function that may be; `size` comes first.
unsafe impl Grows for ngx_http_memcache_many_t {
    const LEAST: usize = size_of::<Self>();
}

// SAFETY: numbers and a string; `size` comes first.
unsafe impl Grows for ngx_http_memcache_server_t {
    const LEAST: usize = size_of::<Self>();
}

// What compiled siblings say. It is all in words and numbers of 32 and 64 bits, and differs only with the word.
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(offset_of!(ngx_http_memcache_op_t, size) == 0);
    assert!(offset_of!(ngx_http_memcache_server_t, size) == 0);
    assert!(offset_of!(ngx_http_memcache_many_t, size) == 0);
    assert!(ngx_http_memcache_op_t::LEAST == 120);
    assert!(ngx_http_memcache_server_t::LEAST == 64);
    assert!(ngx_http_memcache_many_t::LEAST == 72);
    assert!(offset_of!(ngx_http_memcache_result_t, lease) == 56);
    assert!(offset_of!(ngx_http_memcache_result_t, stand_in) == 88);
};

/// The size of a caller's structure, if it is large enough.
///
/// # Safety
///
/// A pointer that is not NULL and aligned points to a structure of as many bytes as it says.
pub unsafe fn check<T: Grows>(theirs: *const T) -> Result<usize, Status> {
    if theirs.is_null() || !theirs.is_aligned() {
        return Err(NGX_HTTP_MEMCACHE_INVALID);
    }
    // SAFETY: by the contract, and that of the trait.
    let size = unsafe { theirs.cast::<usize>().read() };
    if size < T::LEAST {
        return Err(NGX_HTTP_MEMCACHE_INVALID);
    }
    Ok(size)
}

/// A caller's structure. A smaller one is copied to `place`, and filled with zeros. Fields that ours does not have are
/// ignored.
///
/// # Safety
///
/// As for [`check`]; and the structure stays as it is for as long as it is borrowed.
pub unsafe fn read<T: Grows>(theirs: *const T, place: &mut MaybeUninit<T>) -> Result<&T, Status> {
    // SAFETY: by the contract.
    let size = unsafe { check(theirs) }?;
    if size >= size_of::<T>() {
        // SAFETY: by the contract, there is all of it.
        return Ok(unsafe { &*theirs });
    }
    *place = MaybeUninit::zeroed();
    // SAFETY: both have as many bytes, and what is not copied is zero, which is good by the contract of the trait.
    unsafe {
        ptr::copy_nonoverlapping(theirs.cast::<u8>(), place.as_mut_ptr().cast::<u8>(), size);
        Ok(place.assume_init_ref())
    }
}

/// Writes as much of `ours` as the caller's structure has room for.
///
/// # Safety
///
/// `theirs` passed [`check`], and `ours` has the size that it found.
pub unsafe fn write<T: Grows>(theirs: *mut T, ours: &T) {
    // SAFETY: by the contract, there is a size, and room for as many bytes.
    unsafe {
        let size = theirs.cast::<usize>().read();
        ptr::copy_nonoverlapping(ptr::from_ref(ours).cast::<u8>(), theirs.cast::<u8>(), size.min(size_of::<T>()));
    }
}
