//! One connection: its requests and the pending replies.
//!
//! Replies come in the order of the requests. Every request that may reach the server keeps its place in a FIFO until
//! its reply has come. An operation that times out or is cancelled leaves a placeholder there. The late reply is read
//! and dropped.

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
