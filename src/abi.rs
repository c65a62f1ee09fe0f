//! The module's side of `include/ngx_http_memcache.h`, the interface for sibling modules.
//!
//! Callers may make mistakes. Pointers are checked for NULL and alignment, and structures for their size. A handle is
//! looked up among the clients, and never dereferenced. A sibling can still crash the worker with a pointer to a wrong
//! type, as any code in the process can.
//!
//! | module | its job |
//! |---|---|
//! | `table` | the function table: it checks and reads the arguments from C, and calls `crate::functions` |
//! | `operation`, `sized` | arguments of siblings: operations, and structures with a size field |
//! | `outcome` | results for siblings |
//! | `callback`, `request`, `link`, `binding` | a pending call: its handler, and the request that it is bound to |
//! | `retained` | values that siblings keep |
//! | `stats` | the operations of a request |
//! | `pointer` | checks of pointers, for all functions |
//! | `sys` | the header, generated |

pub mod binding;
pub mod callback;
mod link;
pub mod operation;
pub mod outcome;
mod pointer;
pub mod request;
pub mod retained;
mod sized;
pub mod stats;
pub mod sys;
pub mod table;
