//! The contract with sibling modules, `include/ngx_http_memcache.h`, on our side.
//!
//! Whoever calls may be wrong. Pointers are checked for NULL and alignment, structures for their size; a client is
//! looked up among those that there are before it is used. A sibling can still crash the worker by a pointer to
//! something else than it promises, as any code in the process can.
//!
//! | module | its job |
//! |---|---|
//! | `table` | the function table: what C passes is checked and read, and `crate::functions` does the rest |
//! | `operation`, `sized` | what siblings pass: operations, and structures that say how large they are |
//! | `outcome` | what they get |
//! | `callback`, `request`, `binding` | a call under way: its handler, and the request that it is bound to |
//! | `retained` | values that siblings keep |
//! | `stats` | what a request has asked of memcached |
//! | `pointer` | what all functions check |
//! | `sys` | the header, generated |

pub mod binding;
pub mod callback;
pub mod operation;
pub mod outcome;
mod pointer;
pub mod request;
pub mod retained;
mod sized;
pub mod stats;
pub mod sys;
pub mod table;
