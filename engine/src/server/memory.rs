//! The memory that clients of servers use, and what they share of it.

use crate::metrics::counter::Memory;
use crate::shared::SharedHealth;
use crate::stats::Counters;

/// The memory that a client of a server uses.
#[derive(Clone, Debug, Default)]
pub struct ServerMemory {
    /// This client's own: nobody else writes there.
    pub counters: Memory<Counters>,
    /// Where this client tells what it has counted, if nobody else reads its own counters. Others do the same there.
    pub rest: Option<Memory<Counters>>,
    /// Shared by all clients of the server.
    pub shared_health: Memory<SharedHealth>,
}

impl ServerMemory {
    /// The version of what lies in shared memory. Its sizes are part of it.
    pub const LAYOUT: u64 = (2 << 48) | ((size_of::<SharedHealth>() as u64) << 32) | size_of::<Counters>() as u64;
}

/// The others that a client is one of. By default there are none.
#[derive(Clone, Debug, Default)]
pub struct WorkerMemory {
    /// Tells this client from the others at a time: a process number, say. The lowest 24 bits count.
    pub process: u32,
    /// In the order of the configuration; servers without one get memory of their own.
    pub servers: Vec<ServerMemory>,
}
