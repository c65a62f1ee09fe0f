//! One connection: what it has to write, and the replies it waits for.
//!
//! Replies come in the order of the requests. Every request that may reach the server has its place in a FIFO until
//! its reply has been taken, whoever still waits for it: an operation that times out or is cancelled leaves its place
//! behind as a placeholder, and the reply that comes late is read and dropped there.

mod ahead;
mod due;
mod input;
mod lease;
mod load;
mod lost;
mod output;
mod replies;
mod spare_values;
mod state;

pub(crate) use ahead::Waste;
pub(crate) use lease::{SideEffect, Undo};
pub(crate) use lost::LostRequest;
pub(crate) use spare_values::SpareValues;
pub(crate) use state::{Connection, Phase, Reply};
