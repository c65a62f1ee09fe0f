//! The module's function table, and how it is found.

pub(crate) mod find;
pub(crate) mod table;
