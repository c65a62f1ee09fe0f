//! Which server has a key.
//!
//! Each way is that of other clients, key for key, so that a cluster can be shared with them. What is hashed of a
//! server is its configured name: a name that resolves to another address keeps its keys.

mod continuum;
mod rendezvous;
mod router;
pub(crate) mod subset;

pub use router::Explanation;
