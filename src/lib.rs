//! The nginx module: directives, sockets on the event loop, the function table for sibling modules, diagnostics.
//!
//! The engine speaks the protocol. It knows neither nginx nor sockets. This crate connects it with nginx:
//!
//! - `functions`: the functions for siblings.
//! - `conf`: the directives; equal lists of servers become one cluster of the configuration.
//! - `control`: the location that takes servers out of use, and brings them back.
//! - `status`: the location that shows the state of the clients.
//! - `reply`: how both answer.
//! - `variables`: variables about the operations of a request, for the access log.
//! - `worker`: the clusters of a worker, and the memory that all workers share.
//! - `driver`: a cluster's client in this worker on nginx's event loop, with its sockets.
//! - `abi`: the interface for siblings, `include/ngx_http_memcache.h`.
//! - `memory`: the reserve for when the system has no memory.
//! - `nginx`: nginx's C API as small types.
//!
//! Imports point downwards only, in this order: `build/imports/rooms.txt` has it, and `make check` proves it.
//!
//! `unsafe` is in the files of `nginx/` and `abi/`, and in this one. All others forbid it, and `make check` compares
//! (`build/check-unsafe.sh`).

#![deny(unsafe_code)]

mod abi;
mod conf;
mod control;
mod driver;
mod functions;
mod memory;
mod nginx;
mod reply;
mod status;
mod variables;
mod worker;

/// The symbols that nginx's loader looks up. Nothing else is exported.
#[allow(unsafe_code, missing_docs, non_upper_case_globals)]
mod module {
    use core::ffi::{c_char, c_void};
    use core::ptr::null_mut;

    use nginx_sys::{
        ngx_conf_t, ngx_cycle_t, ngx_http_module_t, ngx_int_t, ngx_module_t, NGX_ERROR, NGX_HTTP_MODULE, NGX_OK,
    };

    use crate::abi::sys::{
        ngx_http_memcache_api_t, ngx_http_memcache_module_ctx_t, NGX_HTTP_MEMCACHE_ABI_MAJOR,
        NGX_HTTP_MEMCACHE_ABI_MINOR, NGX_HTTP_MEMCACHE_MAGIC,
    };
    use crate::abi::table::table;
    use crate::conf::block::ServerConf;
    use crate::conf::commands::COMMANDS;
    use crate::functions::Functions;
    use crate::nginx::conf::{complete, create, merge, Conf, HttpBlock};
    use crate::nginx::cycle::Cycle;
    use crate::nginx::guard::{guard, log_panics};
    use crate::nginx::log::Log;
    use crate::nginx::{module, variable};
    use crate::variables::Variables;
    use crate::worker::clusters::Clusters;
    use crate::worker::location::LocationConf;
    use crate::{conf, worker};

    ngx::ngx_modules!(ngx_http_memcache_module);

    /// The function table.
    static API: ngx_http_memcache_api_t = table::<Functions>();

    /// nginx's part of the context, followed by the part for siblings.
    static mut CONTEXT: ngx_http_memcache_module_ctx_t = ngx_http_memcache_module_ctx_t {
        http: ngx_http_module_t {
            preconfiguration: Some(preconfiguration),
            postconfiguration: Some(postconfiguration),
            create_main_conf: Some(create_main_conf),
            init_main_conf: Some(init_main_conf),
            create_srv_conf: Some(create::<ServerConf>),
            merge_srv_conf: Some(merge::<ServerConf>),
            create_loc_conf: Some(create::<LocationConf>),
            merge_loc_conf: Some(merge::<LocationConf>),
        },
        magic: NGX_HTTP_MEMCACHE_MAGIC,
        major: NGX_HTTP_MEMCACHE_ABI_MAJOR,
        minor: NGX_HTTP_MEMCACHE_ABI_MINOR,
        api: &raw const API,
    };

    /// The module; nginx numbers it when it is loaded.
    pub static mut ngx_http_memcache_module: ngx_module_t = ngx_module_t {
        ctx: (&raw mut CONTEXT).cast(),
        commands: (&raw mut COMMANDS).cast(),
        type_: NGX_HTTP_MODULE as usize,
        init_module: Some(init_module),
        init_process: Some(init_process),
        exit_process: Some(exit_process),
        // Tells siblings that the context is the extended one.
        spare_hook0: NGX_HTTP_MEMCACHE_MAGIC as usize,
        ..ngx_module_t::default()
    };

    // SAFETY: the table above makes it for the http block; so for the others.
    unsafe impl module::MainConf for Clusters {}
    // SAFETY: as above.
    unsafe impl module::ServerConf for ServerConf {}
    // SAFETY: as above.
    unsafe impl module::LocationConf for LocationConf {}

    /* hooks: nginx calls each with the argument that it is named after, which is valid until the hook returns */

    fn step(body: impl FnOnce() -> Option<()>) -> ngx_int_t {
        guard(None, body).map_or(NGX_ERROR, |()| NGX_OK as i32) as ngx_int_t
    }

    /// The first hook that nginx calls.
    unsafe extern "C" fn create_main_conf(cf: *mut ngx_conf_t) -> *mut c_void {
        // SAFETY: nginx has loaded the module.
        unsafe { module::register(&raw mut ngx_http_memcache_module) };
        if let Err(wrong) = memcache_bits::check() {
            // SAFETY: nginx passes a configuration with its log.
            if let Some(log) = unsafe { Log::new((*cf).log) } {
                log.emerg(format_args!("ngx_http_memcache_module: {wrong}"));
            }
            return null_mut();
        }
        // SAFETY: as the hook was called.
        unsafe { create::<Clusters>(cf) }
    }

    unsafe extern "C" fn preconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
        step(|| {
            log_panics();
            // SAFETY: as the hook was called.
            variable::add::<Variables>(&mut unsafe { Conf::new(cf) }?)
        })
    }

    unsafe extern "C" fn init_main_conf(cf: *mut ngx_conf_t, _: *mut c_void) -> *mut c_char {
        // SAFETY: as the hook was called.
        unsafe { complete(cf, conf::named::make) }
    }

    unsafe extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
        // SAFETY: as the hook was called.
        step(|| conf::postconfiguration(&mut unsafe { HttpBlock::new(cf) }?))
    }

    unsafe extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
        // SAFETY: as the hook was called.
        step(|| conf::init_module(unsafe { Cycle::new(cycle) }?))
    }

    unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
        // SAFETY: as the hook was called.
        guard((), || unsafe { Cycle::new(cycle) }.map_or((), worker::init));
        NGX_OK as ngx_int_t
    }

    unsafe extern "C" fn exit_process(cycle: *mut ngx_cycle_t) {
        // SAFETY: as the hook was called.
        guard((), || unsafe { Cycle::new(cycle) }.map_or((), worker::exit));
    }
}
