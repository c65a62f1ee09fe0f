//! The kinds of operations, which say what the answer is.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use crate::error::Error;
use crate::operation::call::Reply;
use crate::operation::cas::Cas;
use crate::operation::item::Item;
use crate::operation::lease::Metadata;
use crate::sys;

/// What an operation answers. Nothing outside of this crate can implement it.
pub trait Kind: sealed::Sealed {
    /// The answer of an operation that succeeded.
    type Output;

    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn output(reply: Reply) -> Result<Self::Output, Error>;
}

/// Operations that set the life of an item.
pub trait HasTtl: Kind {}

/// Operations that set the flags of an item.
pub trait HasFlags: Kind {}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident -> $output:ty = $answer:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl sealed::Sealed for $name {}

        #[allow(private_interfaces)]
        impl Kind for $name {
            type Output = $output;

            fn output(reply: Reply) -> Result<$output, Error> {
                let answer: fn(Reply) -> Result<$output, Error> = $answer;
                answer(reply)
            }
        }
    )+};
}

kinds! {
    /// Reads an item: `None` if there is none.
    Get -> Option<Item> = |reply| Ok(applied(&reply)?.then(|| Item::new(reply.value, reply.flags, reply.cas, reply.origin)));

    /// Stores an item, whatever was there.
    Set -> () = |reply| done(&reply);

    /// Stores an item if its condition holds: whether it did.
    Store -> bool = |reply| applied(&reply);

    /// Extends the value of an item: `false` if there is none.
    Extend -> bool = |reply| applied(&reply);

    /// Stores, extends, marks or deletes one version of an item.
    Swap -> Cas = |reply| match reply.status {
        sys::NGX_HTTP_MEMCACHE_OK => Ok(Cas::Applied),
        sys::NGX_HTTP_MEMCACHE_EXISTS => Ok(Cas::Changed),
        _ => Ok(Cas::Missing),
    };

    /// Deletes an item: `false` if there is none.
    Delete -> bool = |reply| applied(&reply);

    /// Counts up or down: the new number, or `None` if there is no item.
    Count -> Option<u64> = |reply| Ok(applied(&reply)?.then_some(reply.number));

    /// Counts one version of an item up or down: the new number, or why there is none.
    CountOne -> Result<u64, Cas> = |reply| match reply.status {
        sys::NGX_HTTP_MEMCACHE_OK => Ok(Ok(reply.number)),
        sys::NGX_HTTP_MEMCACHE_EXISTS => Ok(Err(Cas::Changed)),
        _ => Ok(Err(Cas::Missing)),
    };

    /// Sets the life of an item: `false` if there is none.
    Touch -> bool = |reply| applied(&reply);

    /// Reads an item, and perhaps is given the lease on it.
    Lease -> crate::operation::lease::Lease = crate::operation::lease::Lease::from_reply;

    /// Marks an item as stale: `false` if there is none.
    Invalidate -> bool = |reply| applied(&reply);

    /// Asks about an item: `None` if there is none.
    Inspect -> Option<Metadata> = |reply| Ok(applied(&reply)?.then(|| Metadata::from_reply(&reply)));

    /// Asks a server for an answer.
    Noop -> () = |reply| done(&reply);

    /// Asks a server for its version.
    Version -> String = |reply| Ok(text(&reply).into_owned());

    /// Asks a server for its statistics: names and values, in its order.
    Stats -> Vec<(String, String)> = |reply| {
        let pairs = text(&reply);
        let pairs = pairs.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
        Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    };

    /// Lets a server forget all items.
    FlushAll -> () = |reply| done(&reply);
}

impl HasTtl for Set {}
impl HasTtl for Store {}
impl HasTtl for Swap {}
impl HasTtl for Count {}
impl HasFlags for Set {}
impl HasFlags for Store {}
impl HasFlags for Swap {}

/// Whether the operation took effect, for those that cannot meet a changed item.
fn applied(reply: &Reply) -> Result<bool, Error> {
    match reply.status {
        sys::NGX_HTTP_MEMCACHE_OK => Ok(true),
        sys::NGX_HTTP_MEMCACHE_MISS | sys::NGX_HTTP_MEMCACHE_NOT_STORED => Ok(false),
        _ => Err(unexpected(reply)),
    }
}

/// For operations that succeed or fail.
fn done(reply: &Reply) -> Result<(), Error> {
    match reply.status {
        sys::NGX_HTTP_MEMCACHE_OK => Ok(()),
        _ => Err(unexpected(reply)),
    }
}

fn text(reply: &Reply) -> Cow<'_, str> {
    String::from_utf8_lossy(reply.value.as_bytes())
}

fn unexpected(reply: &Reply) -> Error {
    Error::Other(reply.status)
}

mod sealed {
    pub trait Sealed {}
}
