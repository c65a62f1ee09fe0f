//! A cycle: a configuration that was read, with what belongs to it.

#![allow(unsafe_code)]

use core::ptr::addr_of;

use nginx_sys::{ngx_core_conf_t, ngx_core_module, ngx_cycle, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_module};

use super::log::Log;
use super::module::{self, MainConf};

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

    /// # Safety
    ///
    /// The cycle is there for the lifetime of what is returned.
    pub unsafe fn new(cycle: *const ngx_cycle_t) -> Option<Cycle<'a>> {
        // SAFETY: by the contract.
        unsafe { cycle.as_ref() }.map(Cycle)
    }

    /// The cycle before it, until `init_module` was called for all modules.
    pub fn old(self) -> Option<Cycle<'a>> {
        // SAFETY: nginx frees it, and its log, after that.
        unsafe { Cycle::new(self.0.old_cycle) }
    }

    /// `worker_connections`
    pub fn connections(self) -> usize {
        self.0.connection_n
    }

    /// The module's configuration of the http block; `None`: there is none.
    pub fn main_conf<T: MainConf>(self) -> Option<&'a T> {
        // SAFETY: nginx's first and its last cycle have no configurations; without an http block, its place is NULL; with
        // one, there is a main configuration of every HTTP module, which nobody changes when it has been read.
        unsafe {
            if self.0.conf_ctx.is_null() {
                return None;
            }
            let ctx = *self.0.conf_ctx.add(addr_of!(ngx_http_module.index).read());
            let ctx = ctx.cast::<ngx_http_conf_ctx_t>().as_ref()?;
            module::conf(ctx.main_conf).map(|conf| conf.as_ref())
        }
    }

    /// How many workers there will be, by a configuration that was read; `None`: there is no master.
    pub fn worker_processes(self) -> Option<usize> {
        // SAFETY: a cycle has the configuration of nginx's core.
        let core = unsafe {
            if self.0.conf_ctx.is_null() {
                return None;
            }
            (*self.0.conf_ctx.add(addr_of!(ngx_core_module.index).read())).cast::<ngx_core_conf_t>().as_ref()
        };
        let core = core.filter(|core| core.master != 0)?;
        Some(usize::try_from(core.worker_processes).unwrap_or(1))
    }

    /// Its log.
    pub fn log(self) -> Option<Log<'a>> {
        // SAFETY: it belongs to the cycle.
        unsafe { Log::new(self.0.log) }
    }
}
