//! The nginx module: directives, sockets on the event loop, the function table for sibling modules, diagnostics.
//!
//! What memcached is told and what its replies mean is decided in the engine, which knows neither nginx nor sockets.
//! Here is what connects the two:
//!
//! - `conf`: the directives; equal lists of servers become one `cluster::Cluster` of the configuration.
//! - `worker`: when a worker starts and ends, and who may call.
//! - `driver`: the client of a cluster in this worker on nginx's event loop, with its sockets.
//! - `abi`: the function table of `include/ngx_http_memcache.h`.
//! - `memory`: what is kept back for when the system has no memory.
//! - `variables`: what a request has asked of memcached, for the access log.
//! - `zone`: the memory that all workers share: statistics, and what they know of the servers.
//! - `status`: the location that shows what the clients are doing.
//! - `nginx`: nginx's C API as small types.
//!
//! `unsafe` is in the files of `nginx/` and in this one. These have it still: `abi.rs`, `abi/callback.rs`,
//! `abi/operation.rs`, `abi/request.rs`, `abi/require.rs`, `abi/retained.rs`, `abi/sized.rs`, `cluster.rs`, `conf.rs`,
//! `conf/check.rs`, `conf/directive.rs`, `conf/server.rs`, `variables.rs`, `worker.rs`, `zone.rs`, and the generated
//! `sys.rs`. The others forbid it, and `make check` compares (`build/check-unsafe.sh`).

#![deny(unsafe_code)]

mod abi;
mod cluster;
mod conf;
mod driver;
mod memory;
mod nginx;
mod status;
mod sys;
mod variables;
mod worker;
mod zone;

/// What nginx's loader looks for, and nothing else that is exported.
#[allow(unsafe_code, missing_docs, non_upper_case_globals)]
mod module {
    use core::ffi::c_void;
    use core::ptr;

    use nginx_sys::{ngx_conf_t, ngx_http_module_t, ngx_module_t, NGX_HTTP_MODULE};

    use crate::nginx::module::{register, LocationConf};
    use crate::sys::{
        ngx_http_memcache_module_ctx_t, NGX_HTTP_MEMCACHE_ABI_MAJOR, NGX_HTTP_MEMCACHE_ABI_MINOR,
        NGX_HTTP_MEMCACHE_MAGIC,
    };
    use crate::{abi, conf, status, worker};

    ngx::ngx_modules!(ngx_http_memcache_module);

    /// nginx's part of the context, and behind it what siblings look for.
    static mut CONTEXT: ngx_http_memcache_module_ctx_t = ngx_http_memcache_module_ctx_t {
        http: ngx_http_module_t {
            preconfiguration: Some(conf::preconfiguration),
            postconfiguration: Some(conf::postconfiguration),
            create_main_conf: Some(create_main_conf),
            init_main_conf: None,
            create_srv_conf: Some(conf::create_srv_conf),
            merge_srv_conf: Some(conf::merge_srv_conf),
            create_loc_conf: Some(conf::create_loc_conf),
            merge_loc_conf: Some(conf::merge_loc_conf),
        },
        magic: NGX_HTTP_MEMCACHE_MAGIC,
        major: NGX_HTTP_MEMCACHE_ABI_MAJOR,
        minor: NGX_HTTP_MEMCACHE_ABI_MINOR,
        api: &raw const abi::API,
    };

    /// The module; nginx numbers it when it is loaded.
    pub static mut ngx_http_memcache_module: ngx_module_t = ngx_module_t {
        ctx: (&raw mut CONTEXT).cast(),
        commands: (&raw mut conf::COMMANDS).cast(),
        type_: NGX_HTTP_MODULE as usize,
        init_module: Some(conf::init_module),
        init_process: Some(worker::init_process),
        exit_process: Some(worker::exit_process),
        // Says to siblings that the context is the extended one.
        spare_hook0: NGX_HTTP_MEMCACHE_MAGIC as usize,
        ..ngx_module_t::default()
    };

    // SAFETY: the table above makes it for locations.
    unsafe impl LocationConf for status::LocationConf {}

    /// The configuration of an http block. It is what nginx calls first of the module.
    unsafe extern "C" fn create_main_conf(cf: *mut ngx_conf_t) -> *mut c_void {
        // SAFETY: nginx has loaded the module.
        unsafe { register(&raw mut ngx_http_memcache_module) };
        // SAFETY: nginx passes what it has to pass.
        unsafe { conf::create_main_conf(cf) }
    }

    /// The module's number among all modules' and among the HTTP modules' configurations.
    pub fn ctx_index() -> usize {
        // SAFETY: nginx writes the number when it loads the module, on the only thread there is by then.
        unsafe { ptr::addr_of!(ngx_http_memcache_module.ctx_index).read() }
    }
}

pub(crate) use module::ctx_index;
