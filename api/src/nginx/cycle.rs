//! The configuration that the worker runs with, and the worker's exit.

#![allow(unsafe_code)]

use std::ffi::{c_void, CStr};
use std::marker::PhantomData;
use std::mem;
use std::ptr::NonNull;
use std::slice;

use nginx_sys::{ngx_cycle, ngx_cycle_t, ngx_log_t, ngx_module_t, ngx_pool_cleanup_add};

/// A configuration that is there for `'c`.
#[derive(Clone, Copy)]
pub(crate) struct CycleRef<'c>(NonNull<ngx_cycle_t>, PhantomData<&'c ngx_cycle_t>);

/// A configuration and its list of modules, to see that neither has changed.
pub(crate) type Identity = (NonNull<ngx_cycle_t>, *mut *mut ngx_module_t);

impl<'c> CycleRef<'c> {
    /// # Safety
    ///
    /// It is there for the lifetime of what is returned.
    pub(super) unsafe fn new(cycle: NonNull<ngx_cycle_t>) -> Self {
        CycleRef(cycle, PhantomData)
    }

    /// The one that the worker runs with. nginx sets it before it calls any module, and changes it only between two events.
    /// `None`: this is no nginx.
    pub(crate) fn current() -> Option<Self> {
        // SAFETY: see above.
        NonNull::new(unsafe { ngx_cycle }).map(|cycle| CycleRef(cycle, PhantomData))
    }

    /// What identifies it.
    pub(crate) fn identity(self) -> Identity {
        // SAFETY: it is there.
        (self.0, unsafe { self.0.as_ref() }.modules)
    }

    /// Its module with this name.
    pub(crate) fn module(self, name: &CStr) -> Option<&'c ngx_module_t> {
        // SAFETY: it is there.
        let cycle: &'c ngx_cycle_t = unsafe { self.0.as_ref() };
        if cycle.modules.is_null() {
            return None;
        }
        // SAFETY: nginx keeps modules_n pointers to modules there, which stay loaded.
        let mut modules =
            unsafe { slice::from_raw_parts(cycle.modules.cast::<&'c ngx_module_t>(), cycle.modules_n) }.iter();
        // SAFETY: nginx gives every module its name, a C string, before it adds the module to a cycle.
        modules.find(|module| unsafe { CStr::from_ptr(module.name) } == name).copied()
    }
}

/// The log of the current configuration, which is there as long as the worker.
pub(super) fn log() -> *mut ngx_log_t {
    // SAFETY: in a worker there is a cycle.
    unsafe { (*ngx_cycle).log }
}

/// Whether the worker was told to exit, and only waits for what is under way.
pub(crate) fn is_exiting() -> bool {
    // SAFETY: a number that nginx writes on this thread.
    unsafe { nginx_sys::ngx_exiting != 0 }
}

/// Has a function called when the worker exits, after all modules' `exit_process`: nobody is left then who could wait
/// for anything. Not if there is no memory.
pub(crate) fn at_exit(function: fn()) {
    // SAFETY: in a worker there is a cycle, whose pool it destroys last.
    if let Some(record) = unsafe { ngx_pool_cleanup_add((*ngx_cycle).pool, 0).as_mut() } {
        record.data = function as *mut c_void;
        record.handler = Some(exits);
    }
}

unsafe extern "C" fn exits(data: *mut c_void) {
    // SAFETY: `at_exit` has put a function there.
    let function = unsafe { mem::transmute::<*mut c_void, fn()>(data) };
    function();
}
