//! One connection: its greeting, what it has to write, and the replies it waits for.
//!
//! Replies come in the order of the requests. Every request that may reach the server has its place in a FIFO until
//! its reply has been taken, whoever still waits for it: an operation that times out or is cancelled leaves its place
//! behind as a placeholder, and the reply that comes late is read and dropped there.

mod ahead;
mod due;
mod expect;
mod greeting;
mod input;
mod large;
mod lease;
mod load;
mod orphan;
mod output;
mod replies;
mod state;

pub(crate) use ahead::Waste;
pub(crate) use expect::Expect;
pub(crate) use greeting::Progress;
pub use greeting::Unfit;
pub(crate) use large::Large;
pub(crate) use lease::{Stray, Undo};
pub(crate) use orphan::Orphan;
pub(crate) use state::{Connection, Phase};
