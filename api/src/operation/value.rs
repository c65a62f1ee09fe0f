//! What can be stored, and what can be read.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::str;

use crate::error::Error;

/// Flags of bytes.
const BYTES: u32 = 0;
/// Flags of integers: 2, as of the crate `memcache`.
const INTEGER: u32 = 1 << 1;
/// Flags of text: 16, as of the crate `memcache`.
const TEXT: u32 = 1 << 4;

/// A value that can be stored: bytes, strings, integers, and your own types.
///
/// Strings and bytes are stored as they are, integers in decimal digits, which [`incr`](crate::Client::incr) counts on;
/// what is borrowed is not copied. The flags are 16, 0 and 2, so that programs that use the crate `memcache` read them,
/// unless the operation says [others](crate::Operation::flags).
///
/// ```
/// use std::borrow::Cow;
/// use ngx_memcache::{Error, FromValue, IntoValue};
///
/// struct Point(u8, u8);
///
/// impl IntoValue<'static> for &Point {
///     fn into_value(self) -> Result<(Cow<'static, [u8]>, u32), Error> {
///         Ok((Cow::Owned(vec![self.0, self.1]), 0))
///     }
/// }
///
/// impl FromValue for Point {
///     fn from_value(bytes: &[u8], _flags: u32) -> Result<Self, Error> {
///         match bytes {
///             &[x, y] => Ok(Point(x, y)),
///             _ => Err(Error::Decode("not a point".into())),
///         }
///     }
/// }
/// ```
pub trait IntoValue<'v> {
    /// The bytes and the flags to store. Fails with [`Error::Encode`].
    fn into_value(self) -> Result<(Cow<'v, [u8]>, u32), Error>;
}

/// A type of Rust that a value can be read as: `Vec<u8>`, `String`, integers, and your own types.
///
/// Integers are read as memcached writes them: `decr` from 10 to 9 leaves `9` and a space, as an item does not shrink.
///
/// Whatever the flags are: those of this crate read also what other clients have stored with flags of their own.
pub trait FromValue: Sized {
    /// Fails with [`Error::Decode`] if the value is something else, and with [`Error::NoMemory`].
    fn from_value(bytes: &[u8], flags: u32) -> Result<Self, Error>;
}

/// What is written with the flags behind it: borrowed bytes, or owned ones.
macro_rules! into_value {
    ($([$($generic:tt)*] $type:ty, |$value:ident| $bytes:expr, $flags:expr;)*) => {$(
        impl<'v $($generic)*> IntoValue<'v> for $type {
            fn into_value(self) -> Result<(Cow<'v, [u8]>, u32), Error> {
                let $value = self;
                Ok(($bytes, $flags))
            }
        }
    )*};
}

into_value! {
    [] &'v [u8], |value| Cow::Borrowed(value), BYTES;
    [] &'v Vec<u8>, |value| Cow::Borrowed(value), BYTES;
    [] Vec<u8>, |value| Cow::Owned(value), BYTES;
    [, const N: usize] &'v [u8; N], |value| Cow::Borrowed(value), BYTES;
    [, const N: usize] [u8; N], |value| Cow::Owned(value.to_vec()), BYTES;
    [] &'v str, |value| Cow::Borrowed(value.as_bytes()), TEXT;
    [] &'v String, |value| Cow::Borrowed(value.as_bytes()), TEXT;
    [] String, |value| Cow::Owned(value.into_bytes()), TEXT;
}

macro_rules! integers {
    ($($type:ident)*) => {$(
        into_value! {
            [] $type, |value| Cow::Owned(value.to_string().into_bytes()), INTEGER;
            [] &$type, |value| Cow::Owned(value.to_string().into_bytes()), INTEGER;
        }

        impl FromValue for $type {
            fn from_value(bytes: &[u8], _flags: u32) -> Result<Self, Error> {
                text(bytes)?.trim_end_matches(' ').parse().map_err(not_what_is_wanted)
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }

impl FromValue for Vec<u8> {
    fn from_value(bytes: &[u8], _flags: u32) -> Result<Self, Error> {
        let mut value = Vec::new();
        value.try_reserve_exact(bytes.len()).map_err(|_| Error::NoMemory)?;
        value.extend_from_slice(bytes);
        Ok(value)
    }
}

impl FromValue for String {
    fn from_value(bytes: &[u8], flags: u32) -> Result<Self, Error> {
        text(bytes)?;
        String::from_utf8(Vec::from_value(bytes, flags)?).map_err(not_what_is_wanted)
    }
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    str::from_utf8(bytes).map_err(not_what_is_wanted)
}

fn not_what_is_wanted(error: impl ToString) -> Error {
    Error::Decode(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored<'v>(value: impl IntoValue<'v>) -> (Vec<u8>, u32) {
        let (bytes, flags) = value.into_value().unwrap_or_default();
        (bytes.into_owned(), flags)
    }

    fn read<T: FromValue>(bytes: &[u8]) -> Result<T, Error> {
        T::from_value(bytes, 0)
    }

    /// What memcached leaves after `decr` from 10, 100, and 18446744073709551615 (R17).
    #[test]
    fn r17_integers_are_read_as_memcached_writes_them() {
        assert_eq!(read::<u64>(b"9 "), Ok(9));
        assert_eq!(read::<u8>(b"0  "), Ok(0));
        assert_eq!(read::<i64>(b"7                   "), Ok(7));
        for text in [&b" "[..], b"", b" 9", b"9\t", b"9\n", b"9 9", b"9 \0", b"9\xa0"] {
            assert!(matches!(read::<u64>(text), Err(Error::Decode(_))), "{text:?}");
        }
        assert_eq!(read::<String>(b"9 "), Ok("9 ".into()), "a text is what it is");
    }

    /// Bytes and flags of memcache 0.21.0.
    #[test]
    fn values_are_those_of_the_crate_memcache() {
        assert_eq!(stored("moo"), (b"moo".to_vec(), 16));
        assert_eq!(stored(String::from("moo")), (b"moo".to_vec(), 16));
        assert_eq!(stored(""), (b"".to_vec(), 16));
        assert_eq!(stored(42_u64), (b"42".to_vec(), 2));
        assert_eq!(stored(-1_i32), (b"-1".to_vec(), 2));
        assert_eq!(stored(u128::MAX), (b"340282366920938463463374607431768211455".to_vec(), 2));
        assert_eq!(stored(b"moo"), (b"moo".to_vec(), 0));
        assert_eq!(stored(*b"moo"), (b"moo".to_vec(), 0));
        assert_eq!(stored(vec![1, 2]), (vec![1, 2], 0));
        assert_eq!(stored(&[1, 2][..]), (vec![1, 2], 0));
        let (text, number, bytes) = (&String::from("moo"), &42_i8, &vec![1, 2]);
        assert_eq!([stored(text), stored(number), stored(bytes)], [stored("moo"), stored(42), stored([1, 2])]);
    }

    #[test]
    fn what_is_borrowed_is_not_copied() {
        let bytes = [1, 2, 3];
        assert!(matches!(bytes[..].into_value(), Ok((Cow::Borrowed([1, 2, 3]), 0))));
        assert!(matches!("moo".into_value(), Ok((Cow::Borrowed(b"moo"), 16))));
    }

    #[test]
    fn values_are_read_whatever_their_flags_are() {
        assert_eq!(read(b"\xff\0"), Ok(vec![0xff, 0]));
        assert_eq!(read(b"k\xc3\xbch"), Ok(String::from("k\u{fc}h")));
        assert_eq!(read(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(read(b"-128"), Ok(i8::MIN));
        assert_eq!(u8::from_value(b"7", 16), Ok(7));
    }

    #[test]
    fn what_is_something_else_is_an_error() {
        for wrong in [&b"18446744073709551616"[..], b"-1", b"", b" 1", b" 1", b"x", b"\xff"] {
            assert!(matches!(read::<u64>(wrong), Err(Error::Decode(_))), "{wrong:?}");
        }
        assert!(matches!(read::<String>(b"moo\xff"), Err(Error::Decode(_))));
    }
}
