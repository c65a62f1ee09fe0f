//! What the servers of a client use together: its connections, what its driver has to do, and what is due when.

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
