//! nginx's C API as small types: every raw call of it is in this room.
//!
//! | module | its job |
//! |---|---|
//! | `address` | socket addresses |
//! | `clock` | what time it is |
//! | `conf` | a configuration while nginx reads it |
//! | `connection` | a connection that we open: its socket, its events, its context in the log |
//! | `cycle` | a configuration that was read |
//! | `event` | events that belong to no connection: posted ones, and the timer |
//! | `global` | its variables, and structures that begin as zeros |
//! | `guard` | where panics stop |
//! | `job` | work for a request that goes on in later turns |
//! | `log` | lines in the error log |
//! | `module` | this module among nginx's |
//! | `parse` | times and sizes |
//! | `pool` | Rust values in nginx's pools |
//! | `process` | nginx's processes |
//! | `request` | a request, as its handler sees it |
//! | `resolver` | names that are followed by nginx's `resolver` |
//! | `secret` | memory for a secret |
//! | `shm` | the slab pool of a shared memory zone |
//! | `ssl` | TLS on connections that we open |
//! | `variable` | variables of a request |

pub mod address;
pub mod clock;
pub mod conf;
pub mod connection;
pub mod cycle;
pub mod event;
pub mod global;
pub mod guard;
pub mod guarded;
pub mod job;
pub mod log;
pub mod module;
pub mod parse;
pub mod pool;
pub mod process;
pub mod request;
pub mod resolver;
pub mod secret;
pub mod shm;
pub mod ssl;
pub mod variable;
