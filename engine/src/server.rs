//! One memcached.

pub(crate) mod health;
pub(crate) mod throttle;
