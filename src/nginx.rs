//! nginx's C API as small types: every raw call of it is in this room.
//!
//! | module | its job |
//! |---|---|
//! | `clock` | what time it is |
//! | `connection` | a connection that we open: its socket, its events, its context in the log |
//! | `cycle` | a configuration that was read |
//! | `event` | events that belong to no connection: posted ones, and the timer |
//! | `guard` | where panics stop |
//! | `job` | work for a request that goes on in later turns |
//! | `log` | lines in the error log |
//! | `module` | this module among nginx's |
//! | `pool` | Rust values in nginx's pools |
//! | `process` | nginx's processes |
//! | `request` | a request, as its handler sees it |
//! | `shm` | the slab pool of a shared memory zone |

pub mod clock;
pub mod connection;
pub mod cycle;
pub mod event;
pub mod guard;
pub mod job;
pub mod log;
pub mod module;
pub mod pool;
pub mod process;
pub mod request;
pub mod shm;
