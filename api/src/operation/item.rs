//! An item that was read.

#![forbid(unsafe_code)]

use std::fmt;

use crate::error::Error;
use crate::ffi::table::Value;
use crate::operation::origin::Origin;
use crate::operation::value::FromValue;

/// An item that was read: its value, the flags that were stored with it, and its version.
///
/// A large value is not copied: it is a part of the buffer that the module received it in, which stays until the item
/// is dropped. (Small values are copied once, so that they do not keep a large buffer; the smallest into the item itself.)
pub struct Item {
    value: Value,
    flags: u32,
    cas: u64,
    origin: Origin,
}

impl Item {
    pub(crate) fn new(value: Value, flags: u32, cas: u64, origin: Origin) -> Self {
        Item { value, flags, cas, origin }
    }

    /// The value, as it was stored.
    pub fn value(&self) -> &[u8] {
        self.value.as_bytes()
    }

    /// What was stored with the value; memcached attaches no meaning to it.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// The version of the item, for compare-and-swap. It is good for a moment, not for keeping: see [`Cas`](crate::Cas).
    pub fn cas(&self) -> u64 {
        self.cas
    }

    /// Which server has answered: the key's own, or one that stands in for it.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The value as a type of Rust: strings, integers, `Vec<u8>`, and what implements [`FromValue`].
    ///
    /// Fails with [`Error::Decode`] if the value is something else, and with [`Error::NoMemory`].
    pub fn decode<T: FromValue>(&self) -> Result<T, Error> {
        T::from_value(self.value(), self.flags)
    }
}

impl AsRef<[u8]> for Item {
    fn as_ref(&self) -> &[u8] {
        self.value()
    }
}

/// Shows how much it is, not what: values may be secrets.
impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("bytes", &self.value().len())
            .field("flags", &self.flags)
            .field("cas", &self.cas)
            .finish()
    }
}
