//! A cycle: a configuration that was read, with what belongs to it.

#![allow(unsafe_code)]

use core::ffi::CStr;
use core::ptr::addr_of;

use nginx_sys::{ngx_core_conf_t, ngx_core_module, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_module};

use super::global::global;
use super::log::Log;
use super::module::{self, Address, MainConf};

/// A cycle that is valid for `'a`. `'static` is a worker's own, for values that live in its pool. Without a master, a reload
/// replaces it. The pool of the old one then drops its values, before the cycle itself goes.
#[derive(Clone, Copy)]
pub struct Cycle<'a>(&'a ngx_cycle_t);

impl<'a> Cycle<'a> {
    /// nginx's current one.
    pub fn current() -> Option<Cycle<'static>> {
        let cycle = global!(ngx_cycle);
        // SAFETY: nginx sets it before it loads a module, and always to a cycle that is there.
        unsafe { Cycle::new(cycle) }
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
        // SAFETY: a context has a main configuration of every HTTP module, which nobody changes when it has been read.
        unsafe {
            let ctx = self.conf::<ngx_http_conf_ctx_t>(addr_of!(ngx_http_module.index).read())?;
            module::conf(ctx.main_conf).map(|conf| conf.as_ref())
        }
    }

    /// A module's configuration; `None`: there is none, as without an http block, or in nginx's first and last cycle.
    ///
    /// # Safety
    ///
    /// The module with this number has a T there.
    unsafe fn conf<T>(self, index: usize) -> Option<&'a T> {
        if self.0.conf_ctx.is_null() {
            return None;
        }
        // SAFETY: by the contract; a cycle has a place for each module.
        unsafe { (*self.0.conf_ctx.add(index)).cast::<T>().as_ref() }
    }

    /// The name of the module at this address; `None`: the cycle has none there.
    pub fn module_name(self, module: Address) -> Option<&'a [u8]> {
        for n in 0..self.0.modules_n {
            // SAFETY: a cycle has a list of so many modules, which are there as long as it is, and so are their names.
            let known = unsafe { (*self.0.modules.add(n)).as_ref() }?;
            if Address::of(known) == module && !known.name.is_null() {
                // SAFETY: as above; a name is a string of C.
                return Some(unsafe { CStr::from_ptr(known.name) }.to_bytes());
            }
        }
        None
    }

    /// How many workers there will be, by a configuration that was read; `None`: there is no master.
    pub fn worker_processes(self) -> Option<usize> {
        // SAFETY: it is the configuration of nginx's core.
        let core = unsafe { self.conf::<ngx_core_conf_t>(addr_of!(ngx_core_module.index).read()) };
        let core = core.filter(|core| core.master != 0)?;
        Some(usize::try_from(core.worker_processes).unwrap_or(1))
    }

    /// Its log.
    pub fn log(self) -> Option<Log<'a>> {
        // SAFETY: it belongs to the cycle.
        unsafe { Log::new(self.0.log) }
    }
}
