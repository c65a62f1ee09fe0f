//! Which server has a key.
//!
//! Each method routes every key like other clients, so that they can share a cluster. The hash uses a server's configured
//! name: a name that resolves to another address keeps its keys.

mod continuum;
mod rendezvous;
mod router;
pub(crate) mod subset;

pub use router::Explanation;
