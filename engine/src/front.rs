//! Relations between operations, before a server is asked: coalescing, batches, large items, lease waits.

pub(crate) mod batch;
pub(crate) mod coalesce;
pub(crate) mod large_items;
pub(crate) mod lease_wait;
