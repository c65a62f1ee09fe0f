//! Operations: requests and their keys, replies, errors.

pub mod error;
pub mod key;
pub mod key_rules;
pub(crate) mod life;
pub mod module;
pub mod reply;
pub mod request;
pub(crate) mod retry;
pub(crate) mod work;
