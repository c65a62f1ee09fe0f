//! The client of a cluster: a state machine with inputs, outputs and one timeout.

mod again;
mod batch;
mod call;
mod check;
mod complete;
mod dispatch;
mod greet;
mod interrupted;
mod leave;
mod link;
mod maintain;
mod memory;
mod publish;
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
mod wait;
mod writes;

pub use complete::Completion;
pub use memory::WorkerMemory;
pub use state::Client;
pub use submit::Rejected;
pub use summary::Summary;
