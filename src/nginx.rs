//! nginx's C API as small types: every raw call of it is in this room.
//!
//! | module | its job |
//! |---|---|
//! | `clock` | what time it is |
//! | `event` | events that belong to no connection: posted ones, and the timer |
//! | `guard` | where panics stop |
//! | `log` | lines in the error log |
//! | `pool` | Rust values in nginx's pools |
//! | `process` | nginx's processes |
//! | `shm` | the slab pool of a shared memory zone |

pub mod clock;
pub mod event;
pub mod guard;
pub mod log;
pub mod pool;
pub mod process;
pub mod shm;
