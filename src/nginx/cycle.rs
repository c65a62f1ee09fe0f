//! A cycle: a configuration that was read, with what belongs to it.

#![allow(unsafe_code)]

use core::ptr::addr_of;

use nginx_sys::{ngx_cycle, ngx_cycle_t};

use super::log::Log;

/// A cycle that is there for `'a`. `'static` is the one that a worker works with, for what belongs to it: without a
/// master a reload puts another one in its place, and then the pool of the old one drops what lives in it, before it goes
/// itself.
#[derive(Clone, Copy)]
pub struct Cycle<'a>(&'a ngx_cycle_t);

impl<'a> Cycle<'a> {
    /// nginx's current one.
    pub fn current() -> Option<Cycle<'static>> {
        // SAFETY: nginx sets it before it loads a module, and always to a cycle that is there.
        unsafe { addr_of!(ngx_cycle).read().as_ref() }.map(Cycle)
    }

    /// Its log.
    pub fn log(self) -> Option<Log<'a>> {
        // SAFETY: it belongs to the cycle.
        unsafe { Log::new(self.0.log) }
    }
}
