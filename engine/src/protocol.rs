//! What memcached speaks: bytes to replies, requests to bytes.

pub(crate) mod meta;
pub(crate) mod number;
pub(crate) mod outbound;
pub(crate) mod version;
