//! memcached's protocols: requests to bytes, and bytes to replies.
//!
//! `dialect` has the operations that every dialect supports, in terms of requests, expected replies (`expect`) and
//! lines (`line`). `greeting` finds out a server's dialect. Each dialect has a folder: `meta`, `text`.

#[cfg(test)]
mod altered;
pub(crate) mod decoder;
pub(crate) mod dialect;
pub(crate) mod expect;
pub(crate) mod greeting;
pub(crate) mod known;
pub(crate) mod line;
mod meta;
pub(crate) mod number;
pub(crate) mod outbound;
mod text;
pub(crate) mod token;
pub(crate) mod unfit;
pub(crate) mod version;
