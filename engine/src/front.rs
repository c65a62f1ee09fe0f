//! What several operations have to do with each other, before a server is asked.

pub(crate) mod batch;
pub(crate) mod coalesce;
pub(crate) mod large_items;
pub(crate) mod lease_wait;
