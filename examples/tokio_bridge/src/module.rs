//! The directive, and the start and the end of the runtime.

#![allow(non_upper_case_globals)]

use std::ffi::{c_char, c_void};
use std::ptr;

use ngx::core::{Status, NGX_CONF_ERROR};
use ngx::ffi::{
    ngx_command_t, ngx_conf_t, ngx_cycle_t, ngx_http_module_t, ngx_http_request_t, ngx_int_t, ngx_module_t,
    ngx_pcalloc, ngx_process, ngx_uint_t, NGX_CONF_NOARGS, NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET,
    NGX_HTTP_MODULE, NGX_LOG_ERR, NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER,
};
use ngx::http::{HttpModule, HttpModuleLocationConf, HttpModuleMainConf, NgxHttpCoreModule};
use ngx::log::ngx_cycle_log;
use ngx::{ngx_log_error, ngx_string};
use ngx_memcache::http::directive;
use ngx_memcache::{Block, Client};

use crate::{handler, runtime, work};

/// The module's main configuration; zeros to begin with.
#[derive(Default)]
struct Main {
    /// The server block of the first location with the directive. Its client is used without a request.
    block: Option<Block>,
}

struct Module;

impl HttpModule for Module {
    fn module() -> &'static ngx_module_t {
        // SAFETY: nginx writes to it only when it loads the module.
        unsafe { &*ptr::addr_of!(ngx_http_memcache_tokio_bridge_module) }
    }
}

// SAFETY: create_main() makes one.
unsafe impl HttpModuleMainConf for Module {
    type MainConf = Main;
}

mod exports {
    use super::ngx_http_memcache_tokio_bridge_module;
    ngx::ngx_modules!(ngx_http_memcache_tokio_bridge_module);
}

/// The module.
pub static mut ngx_http_memcache_tokio_bridge_module: ngx_module_t = ngx_module_t {
    ctx: (&raw mut CONTEXT).cast(),
    commands: (&raw mut COMMANDS).cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    init_process: Some(init_process),
    exit_process: Some(exit_process),
    ..ngx_module_t::default()
};

static mut CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: None,
    postconfiguration: None,
    create_main_conf: Some(create_main),
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: None,
    merge_loc_conf: None,
};

static mut COMMANDS: [ngx_command_t; 2] = [
    ngx_command_t {
        name: ngx_string!("memcache_digest"),
        type_: (NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS) as ngx_uint_t,
        set: Some(set),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t::empty(),
];

unsafe extern "C" fn create_main(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx calls this with the configuration that is being read, which has a pool.
    unsafe {
        let main = ngx_pcalloc((*cf).pool, size_of::<Main>()).cast::<Main>();
        if !main.is_null() {
            main.write(Main::default());
        }
        main.cast()
    }
}

unsafe extern "C" fn set(cf: *mut ngx_conf_t, _command: *mut ngx_command_t, _conf: *mut c_void) -> *mut c_char {
    // SAFETY: nginx calls this for a directive of COMMANDS. The block is kept in its own configuration.
    unsafe {
        if directive::require(cf, "memcache_digest").is_err() {
            return NGX_CONF_ERROR;
        }
        let (Some(main), Some(core)) = (Module::main_conf_mut(&*cf), NgxHttpCoreModule::location_conf_mut(&*cf)) else {
            return NGX_CONF_ERROR;
        };
        core.handler = Some(handle);
        main.block = main.block.or(Block::of_conf(cf));
    }
    ptr::null_mut()
}

unsafe extern "C" fn handle(request: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx calls a content handler with a living request.
    unsafe { directive::handle(request, handler::digest) }
}

/// This module, for its client.
pub fn module() -> *const ngx_module_t {
    &raw const ngx_http_memcache_tokio_bridge_module
}

/// Runs in workers, and in other processes that do not need threads.
unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    const WORKER: ngx_uint_t = NGX_PROCESS_WORKER as ngx_uint_t;
    const SINGLE: ngx_uint_t = NGX_PROCESS_SINGLE as ngx_uint_t;

    // SAFETY: nginx passes the cycle of the process.
    let main = unsafe { ngx_http_main_conf(cycle) };
    // SAFETY: nginx writes it before it calls this.
    let (Some(block), WORKER | SINGLE) = (main.and_then(|main| main.block), unsafe { ngx_process }) else {
        return Status::NGX_OK.0;
    };
    let started = runtime::start().map_err(|error| error.to_string()).and_then(|runtime| {
        let mc = Client::from_block(block).and_then(|mc| mc.of_module(module()));
        let remote = mc.and_then(|mc| mc.remote()).map_err(|error| error.to_string())?;
        runtime.spawn(work::heartbeat(remote, std::process::id()));
        Ok(())
    });
    if let Err(error) = started {
        // The worker can still do everything else. An error here would end it, and nginx would not replace it.
        ngx_log_error!(NGX_LOG_ERR, ngx_cycle_log().as_ptr(), "memcache_digest: no runtime: {error}");
    }
    Status::NGX_OK.0
}

unsafe extern "C" fn exit_process(_cycle: *mut ngx_cycle_t) {
    runtime::stop();
}

/// # Safety
///
/// `cycle` is there, and its configuration has been read.
unsafe fn ngx_http_main_conf(cycle: *mut ngx_cycle_t) -> Option<&'static Main> {
    // SAFETY: guaranteed by the caller.
    Module::main_conf(unsafe { &*cycle })
}
