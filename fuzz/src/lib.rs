//! What the fuzz targets do, as functions: a test plays the seeds through them with any Rust.
//!
//! What an input that breaks something shows becomes a unit test of the engine; the input itself a seed, if it says
//! more than the others.
//!
//! | module | its job |
//! |---|---|
//! | [`replies`] | what a server says: in whatever pieces it comes, the result is the same, and memory is bounded |
//! | [`operations`] | what a driver does, in any order: every operation ends once, everything stays bounded |
//! | `script` | the language of the inputs |
//! | `ops` | the operations that can be submitted; new ones go there, and to `peer` if they are answered in a new way |
//! | `peer`, `request` | the server: reads requests, says what is asked of it, and knows what the client must make of it |
//! | `driver` | what every driver does |

#![forbid(unsafe_code)]

mod driver;
pub mod operations;
mod ops;
mod peer;
pub mod replies;
mod request;
mod script;
