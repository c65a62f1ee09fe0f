//! The outcome of a compare-and-swap.

#![forbid(unsafe_code)]

/// What came of an operation on one version of an item.
///
/// Versions compare within one memcached process only: each counts from 1. After a restart, on a server that
/// [stands in](crate::Origin) for another one, and where the key is another server's because the list of servers has
/// changed, the same number is the version of something else. Use it in the request that has read it. What outlives
/// that, such as an `ETag` that a client brings back, needs something of the content beside it: read the item, compare
/// that, and then write with the version that was read just now. `examples/kv` does so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cas {
    /// The item was still that version, and was stored or deleted.
    Applied,
    /// The item was changed by somebody else; it was left alone.
    Changed,
    /// There is no such item.
    Missing,
}
