//! The client of a cluster: a state machine with inputs, outputs and one timeout.

mod address;
mod again;
mod batch;
mod call;
mod cause;
mod check;
mod company;
mod complete;
mod event;
mod greet;
mod leave;
mod link;
mod memory;
mod order;
mod outcome;
mod pool;
mod share;
mod sizes;
mod state;
mod submit;
mod subset;
mod summary;
#[cfg(test)]
mod tests;
mod timeout;
mod turn;
mod undo;
mod view;
mod wait;
mod writes;

pub use cause::{Cause, Loss};
pub use complete::Completion;
pub use event::{Event, Output};
pub use memory::Company;
pub use state::Client;
pub use submit::Rejected;
pub use summary::Summary;
pub use view::ServerView;
