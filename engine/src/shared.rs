//! Memory that the workers share.
//!
//! Each worker counts in a slot of its own. Readers sum up all slots. The counts of a worker remain when it exits or crashes:
//! the next one in its slot continues from there. A worker without a slot, or without memory for it, adds its counts to memory
//! that all such workers share. So the sums never decrease, through crashes and reloads.

mod health;
mod key;
mod lease;
mod ledger;
mod members;
mod published;
mod slot;
mod state;
mod switch;

pub use health::SharedHealth;
pub(crate) use health::{AddressInUse, Finding, SharedState};
pub use key::{keys, Piece, ServerKey};
pub use lease::Lease;
pub use ledger::{Ledger, Processes};
pub use members::{Member, Members, Renewed};
pub use published::Published;
pub use slot::{claim, Slot};
pub use state::State;
pub(crate) use switch::Setting;
pub use switch::{SharedSwitch, Switch, Switched};
