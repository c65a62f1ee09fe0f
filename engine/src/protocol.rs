//! What memcached speaks: bytes to replies, requests to bytes.
//!
//! `dialect` says what every dialect can do, in terms of requests, expected replies (`expect`) and lines (`line`);
//! `greeting` finds out which one a server speaks. A dialect is a folder: `meta`, `text`.

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
pub(crate) mod version;
