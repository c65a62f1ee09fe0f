//! The client of a cluster: a state machine with inputs, outputs and one timeout.

mod again;
mod batch;
mod call;
mod check;
mod complete;
mod create;
mod dispatch;
mod greet;
mod leave;
mod link;
mod maintain;
mod members;
mod module;
mod publish;
mod replies;
mod reroute;
mod share;
mod state;
mod submit;
mod subset;
mod switch;
#[cfg(test)]
mod tests;
mod timeout;
mod turn;
mod undo;
mod wait;

pub use complete::Completion;
pub use state::Client;
pub use submit::{Asker, Rejected};
