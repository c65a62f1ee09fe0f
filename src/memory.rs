//! Memory of the module: a reserve for when the system has none.
//!
//! Without memory, an operation is refused, as nginx refuses a request. Large allocations, and those that grow with the
//! number of operations, use `try_reserve`, here and in the engine. Small ones come from the reserve while memory is
//! low, so that pending operations can end.

#![forbid(unsafe_code)]

use memcache_reserve::Reserve;

#[global_allocator]
static MEMORY: Reserve = Reserve::new();

/// Whether to refuse new operations.
pub fn is_low() -> bool {
    MEMORY.is_low()
}
