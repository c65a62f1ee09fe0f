//! What the servers of a client use together: its connections, what its driver has to do, and what is due when.

mod cause;
mod event;
mod output;
mod state;
mod timer;

pub use cause::{Cause, Loss};
pub use event::Event;
pub use output::Output;
pub(crate) use state::{Connections, Network};
pub(crate) use timer::Timer;
