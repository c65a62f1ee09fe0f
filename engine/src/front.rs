//! Relations between operations, before a server is asked: coalescing, batches, large items, lease waits, shares of modules.

pub(crate) mod batch;
pub(crate) mod coalesce;
pub(crate) mod large_items;
pub(crate) mod lease_wait;
pub(crate) mod modules;
