//! The memory of clients for their servers, shared or not.

use crate::metrics::counter::Memory;
use crate::shared::{SharedHealth, SharedSwitch};
use crate::stats::Counters;

/// A client's memory for one server.
#[derive(Clone, Debug, Default)]
pub struct ServerMemory {
    /// This client's own: no other client writes to it.
    pub counters: Memory<Counters>,
    /// If nobody else reads this client's own counters, it adds them here. Other clients do the same.
    pub rest: Option<Memory<Counters>>,
    /// Shared by all clients of the server.
    pub shared_health: Memory<SharedHealth>,
    /// The operator's switch, shared by all clients of the server's name; `None`: there is none, and the server is in use.
    pub shared_switch: Option<Memory<SharedSwitch>>,
}

impl ServerMemory {
    /// The version of the layout in shared memory. The sizes are part of it.
    pub const LAYOUT: u64 = (3 << 56)
        | ((size_of::<SharedSwitch>() as u64) << 44)
        | ((size_of::<SharedHealth>() as u64) << 32)
        | size_of::<Counters>() as u64;
}

/// The memory of one of several clients. By default there is only one.
#[derive(Clone, Debug, Default)]
pub struct WorkerMemory {
    /// The client's current number among the others, such as a process id. The lowest 24 bits count.
    pub process: u32,
    /// In the order of the configuration. A server without an entry gets memory of its own.
    pub servers: Vec<ServerMemory>,
}
