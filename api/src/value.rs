//! What can be stored.

use std::borrow::Cow;

use memcache::exp::{Decode, Encode};

use crate::Error;

/// A value that can be stored: whatever implements [`Encode`] (strings, integers, bytes and your own types, so that
/// programs that use the `memcache` crate read it), or [`Raw`] bytes.
pub trait IntoValue<'v> {
    /// The bytes and the flags to store. Fails with [`Error::Encode`].
    fn into_value(self) -> Result<(Cow<'v, [u8]>, u32), Error>;
}

/// Bytes to be stored as they are, with flags 0; they are not copied before the module takes them.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'v>(pub &'v [u8]);

impl<'v> IntoValue<'v> for Raw<'v> {
    fn into_value(self) -> Result<(Cow<'v, [u8]>, u32), Error> {
        Ok((Cow::Borrowed(self.0), 0))
    }
}

impl<'v, T: Encode> IntoValue<'v> for T {
    fn into_value(self) -> Result<(Cow<'v, [u8]>, u32), Error> {
        let encoded = self.encode().map_err(|error| Error::Encode(error.to_string()))?;
        Ok((Cow::Owned(encoded.bytes), encoded.flags))
    }
}

/// A value that was read, as a type of Rust.
pub(crate) fn decode<T: Decode>(bytes: &[u8], flags: u32) -> Result<T, Error> {
    let mut value = Vec::new();
    value.try_reserve_exact(bytes.len()).map_err(|_| Error::NoMemory)?;
    value.extend_from_slice(bytes);
    T::decode(value, flags).map_err(|error| Error::Decode(error.to_string()))
}

#[cfg(test)]
mod tests {
    use memcache::exp::{FLAG_BYTES, FLAG_INT, FLAG_STR};

    use super::*;

    fn stored<'v>(value: impl IntoValue<'v>) -> (Vec<u8>, u32) {
        let (bytes, flags) = value.into_value().unwrap_or_default();
        (bytes.into_owned(), flags)
    }

    #[test]
    fn values_agree_with_the_memcache_crate() {
        assert_eq!(stored("moo"), (b"moo".to_vec(), FLAG_STR));
        assert_eq!(stored(String::from("moo")), (b"moo".to_vec(), FLAG_STR));
        assert_eq!(stored(42_u64), (b"42".to_vec(), FLAG_INT));
        assert_eq!(stored(b"moo"), (b"moo".to_vec(), FLAG_BYTES));
        assert_eq!(stored(vec![1, 2]), (vec![1, 2], FLAG_BYTES));
    }

    #[test]
    fn raw_bytes_are_borrowed() {
        let bytes = [1, 2, 3];
        let value = Raw(&bytes).into_value();
        assert!(matches!(value, Ok((Cow::Borrowed([1, 2, 3]), 0))));
    }
}
