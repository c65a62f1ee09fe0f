//! This module among nginx's: where its configurations are.

#![allow(unsafe_code)]

use core::ffi::c_void;
use core::ptr::{self, addr_of, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use nginx_sys::ngx_module_t;

/// The module; NULL until nginx reads an http block. Not of a cycle: nginx loads it once.
static MODULE: AtomicPtr<ngx_module_t> = AtomicPtr::new(ptr::null_mut());

/// What the module has for each http block.
///
/// # Safety
///
/// It is what the registered module's `create_main_conf` makes.
pub unsafe trait MainConf: 'static {}

/// What the module has for each server block.
///
/// # Safety
///
/// It is what the registered module's `create_srv_conf` makes.
pub unsafe trait ServerConf: 'static {}

/// What the module has for each location.
///
/// # Safety
///
/// It is what the registered module's `create_loc_conf` makes.
pub unsafe trait LocationConf: 'static {}

/// Says which module this is.
///
/// # Safety
///
/// nginx has loaded it, and so has numbered it.
pub unsafe fn register(module: *mut ngx_module_t) {
    MODULE.store(module, Ordering::Relaxed);
}

/// The registered module; NULL if there is none.
pub fn as_ptr() -> *mut ngx_module_t {
    MODULE.load(Ordering::Relaxed)
}

/// Its number among the HTTP modules' configurations. `None`: there is no http block.
pub fn ctx_index() -> Option<usize> {
    let module = NonNull::new(as_ptr())?;
    // SAFETY: by the contract of `register`; modules are never unloaded while there are configurations.
    Some(unsafe { addr_of!((*module.as_ptr()).ctx_index).read() })
}

/// This module's configuration in a list of all modules'.
///
/// # Safety
///
/// The list is that of a context's level that has T, or NULL.
pub unsafe fn conf<T>(list: *mut *mut c_void) -> Option<NonNull<T>> {
    if list.is_null() {
        return None;
    }
    // SAFETY: by the contract, there is one for each module.
    NonNull::new(unsafe { *list.add(ctx_index()?) }.cast())
}

/// That of nginx's core for HTTP.
///
/// # Safety
///
/// As for [`conf`]: T is what the core has there.
pub unsafe fn core_conf<T>(list: *mut *mut c_void) -> Option<NonNull<T>> {
    if list.is_null() {
        return None;
    }
    // SAFETY: by the contract; the core is always loaded.
    NonNull::new(unsafe { *list.add(addr_of!(nginx_sys::ngx_http_core_module.ctx_index).read()) }.cast())
}
