//! One memcached: who waits for it, whether it is up, where it is, and how often it may be connected to.

mod address;
mod backlog;
pub(crate) mod health;
mod memory;
pub(crate) mod pending_writes;
mod queue;
mod state;
mod throttle;

pub use memory::ServerMemory;
pub(crate) use state::Server;
