//! This module's number in nginx, and its configurations.

#![allow(unsafe_code)]

use core::ffi::c_void;
use core::ptr::{self, addr_of, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use nginx_sys::ngx_module_t;

/// The module; NULL until nginx reads an http block. nginx loads it once, for all cycles.
static MODULE: AtomicPtr<ngx_module_t> = AtomicPtr::new(ptr::null_mut());

/// The module's configuration of an http block.
///
/// # Safety
///
/// The registered module's `create_main_conf` makes this type.
pub unsafe trait MainConf: 'static {}

/// The module's configuration of a server block.
///
/// # Safety
///
/// The registered module's `create_srv_conf` makes this type.
pub unsafe trait ServerConf: 'static {}

/// The module's configuration of a location.
///
/// # Safety
///
/// The registered module's `create_loc_conf` makes this type.
pub unsafe trait LocationConf: 'static {}

/// Sets the module.
///
/// # Safety
///
/// nginx has loaded it, and so has numbered it.
pub unsafe fn register(module: *mut ngx_module_t) {
    MODULE.store(module, Ordering::Relaxed);
}

/// Where a module of nginx is, if it is one: it is compared, and never followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Address(*const ngx_module_t);

impl Address {
    /// Of what a sibling says is a module.
    pub fn of(module: *const ngx_module_t) -> Address {
        Address(module)
    }
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

/// The configuration of nginx's core for HTTP.
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
