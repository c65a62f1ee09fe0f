//! What a client shares with others of the same servers.

use crate::server::ServerMemory;

/// The others that a client is one of. By default there are none.
#[derive(Clone, Debug, Default)]
pub struct WorkerMemory {
    /// Tells this client from the others at a time: a process number, say. The lowest 24 bits count.
    pub process: u32,
    /// In the order of the configuration; servers without one get memory of their own.
    pub servers: Vec<ServerMemory>,
}
