//! One memcached: its queue, connections, state and address, and the rate of its connects.

mod addresses;
mod admit;
mod arrive;
mod backlog;
mod check;
mod count;
mod fail_back;
mod failure;
mod greet;
mod health;
mod leave;
mod memory;
mod order;
mod others;
mod pending_writes;
mod pick;
mod places;
mod pool;
mod queue;
mod resolve;
mod settings;
mod state;
mod switch;
mod throttle;
mod view;

pub(crate) use arrive::Arrival;
pub use memory::{ServerMemory, WorkerMemory};
pub(crate) use order::Target;
pub(crate) use others::News;
pub(crate) use pending_writes::Hold;
pub(crate) use places::Places;
pub(crate) use settings::Settings;
pub(crate) use state::Server;
pub use view::ServerView;
