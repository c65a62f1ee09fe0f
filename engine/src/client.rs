//! The client of a cluster: a state machine with inputs, outputs and one timeout.

mod address;
mod again;
mod batch;
mod call;
mod check;
mod complete;
mod greet;
mod interrupted;
mod leave;
mod link;
mod memory;
mod order;
mod pool;
mod share;
mod shared_health;
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

pub use complete::Completion;
pub use memory::WorkerMemory;
pub use state::Client;
pub use submit::Rejected;
pub use summary::Summary;
pub use view::ServerView;
