//! What the servers of a client share: connections, outputs to the driver, and timers.

mod buffers;
mod cause;
mod connections;
mod event;
mod output;
mod state;
mod timer;
mod writes;

pub use cause::{Cause, Loss};
pub(crate) use connections::Connections;
pub use event::Event;
pub use output::Output;
pub(crate) use state::Network;
pub(crate) use timer::Timer;
