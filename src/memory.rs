//! Memory of the module: a reserve for when the system has none.
//!
//! An operation that there is no memory for is refused, as nginx refuses a request. What is large, or grows with the
//! number of operations, is asked for by `try_reserve`, here and in the engine; the small rest comes from the reserve
//! while memory is low, and what is under way ends with it.

#![forbid(unsafe_code)]

use memcache_reserve::Reserve;

#[global_allocator]
static MEMORY: Reserve = Reserve::new();

/// Whether new work is to be refused.
pub fn is_low() -> bool {
    MEMORY.is_low()
}
