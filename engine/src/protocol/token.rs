//! Tokens of requests.

/// The opaque token of a request: decimal, at most 10 digits. Every server accepts 31.
pub(crate) type Token = u32;
