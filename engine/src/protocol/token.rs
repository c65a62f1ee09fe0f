//! What tells requests apart.

/// The opaque token of a request: decimal, at most 10 digits, of the 31 that every server accepts.
pub(crate) type Token = u32;
