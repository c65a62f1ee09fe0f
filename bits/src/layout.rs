//! Whether the bindings have the other structures where C has them.

use std::error::Error;
use std::ffi::{c_uint, c_void};
use std::fmt;
use std::mem::MaybeUninit;
use std::slice;

mod list {
    use core::mem::{offset_of, size_of};

    use super::{same, Same};

    include!(concat!(env!("OUT_DIR"), "/layout.rs"));
}

/// Whether the bindings have the bit-field with this number where C has it.
type Same = fn(usize) -> bool;

extern "C" {
    static memcache_bits_places: [usize; list::PLACES.len()];
    fn memcache_bits_fill(bit: usize, structure: *mut c_void, ones: c_uint);
}

/// A structure with a wrong size, or a field or bit-field in another place than in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrong(&'static str);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the bindings (nginx-sys) that this module was built with have {} in another place than nginx",
            self.0
        )
    }
}

impl Error for Wrong {}

/// Compares the bindings with C, for everything that this workspace, `ngx` and `nginx-sys` itself use of them: sizes,
/// fields, and bit-fields except those of the request. The error is the first difference.
///
/// Call it while the configuration is read, and refuse the module if it fails.
pub fn check() -> Result<(), Wrong> {
    // SAFETY: a constant of C, as long as both sides say.
    let in_c = unsafe { memcache_bits_places };
    for (&(name, place), place_in_c) in list::PLACES.iter().zip(in_c) {
        if place != place_in_c {
            return Err(Wrong(name));
        }
    }
    for (bit, (name, is_same)) in list::BITS.iter().enumerate() {
        if !is_same(bit) {
            return Err(Wrong(name));
        }
    }
    Ok(())
}

/// Whether `fill`, which sets all bits of a bit-field by bindings, does the same as C for the bit-field of that number.
fn same<T>(bit: usize, fill: impl FnOnce(&mut T)) -> bool {
    let mut by_rust = MaybeUninit::<T>::zeroed();
    let mut by_c = MaybeUninit::<T>::zeroed();
    // SAFETY: all of nginx's structures may be zero; C writes within one, whose size is the right one by now.
    unsafe {
        fill(by_rust.assume_init_mut());
        memcache_bits_fill(bit, by_c.as_mut_ptr().cast(), !0);
    }
    bytes(&by_rust) == bytes(&by_c)
}

fn bytes<T>(of: &MaybeUninit<T>) -> &[u8] {
    // SAFETY: all bytes were zeroed, and what was written since are integers within them.
    unsafe { slice::from_raw_parts(of.as_ptr().cast(), size_of::<T>()) }
}

#[cfg(test)]
mod tests;
