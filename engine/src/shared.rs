//! What workers have in common: memory that several processes share.
//!
//! A worker counts in a slot of its own, and the slots of all are summed when they are read. What a worker has counted
//! stays when it exits or crashes: the next one in its slot goes on from there. A worker for which there is no slot, or no
//! memory behind it, adds what it counts to memory that all such workers share. So the sums only grow, through crashes
//! and reloads.

mod health;
mod key;
mod ledger;
mod slot;
mod state;

pub use health::SharedHealth;
pub(crate) use health::{Finding, SharedState};
pub use key::{keys, Piece, ServerKey};
pub use ledger::{Ledger, Processes};
pub use slot::{claim, Slot};
pub use state::State;
