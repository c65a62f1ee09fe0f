//! The module's function table, and how it is found.

pub(crate) mod call;
pub(crate) mod find;
pub(crate) mod handle;
pub(crate) mod table;
