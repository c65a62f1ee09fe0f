//! One memcached.

pub(crate) mod backlog;
pub(crate) mod health;
pub(crate) mod queue;
pub(crate) mod throttle;
