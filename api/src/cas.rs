//! The outcome of a compare-and-swap.

/// What came of an operation on one version of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cas {
    /// The item was still that version, and was stored or deleted.
    Applied,
    /// The item was changed by somebody else; it was left alone.
    Changed,
    /// There is no such item.
    Missing,
}
