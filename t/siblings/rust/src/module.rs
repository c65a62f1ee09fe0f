//! The module: directives and handlers.

#![allow(non_upper_case_globals)]

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::ptr;

use ngx::core::{Status, NGX_CONF_ERROR, NGX_CONF_OK};
use ngx::ffi::{
    ngx_command_t, ngx_conf_set_str_slot, ngx_conf_t, ngx_http_module_t, ngx_http_request_t, ngx_int_t, ngx_module_t,
    ngx_pcalloc, ngx_str_t, ngx_uint_t, NGX_CONF_TAKE1, NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MODULE,
};
use ngx::http::{HttpModule, HttpModuleLocationConf, NgxHttpCoreModule, Request};
use ngx::ngx_string;
use ngx_memcache::http::directive::{self, Phase};

use crate::{content, phases};

/// What the handlers of a location are told to do.
#[repr(C)]
pub struct Location {
    content: ngx_str_t,
    rewrite: ngx_str_t,
    access: ngx_str_t,
    log: ngx_str_t,
}

struct Module;

impl HttpModule for Module {
    fn module() -> &'static ngx_module_t {
        // SAFETY: nginx writes to it only when it loads the module.
        unsafe { &*ptr::addr_of!(ngx_http_memcache_test_module) }
    }
}

// SAFETY: create_location() makes one.
unsafe impl HttpModuleLocationConf for Module {
    type LocationConf = Location;
}

mod exports {
    use super::ngx_http_memcache_test_module;
    ngx::ngx_modules!(ngx_http_memcache_test_module);
}

/// The module.
pub static mut ngx_http_memcache_test_module: ngx_module_t = ngx_module_t {
    ctx: (&raw mut CONTEXT).cast(),
    commands: (&raw mut COMMANDS).cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    ..ngx_module_t::default()
};

static mut CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: None,
    postconfiguration: Some(add_handlers),
    create_main_conf: None,
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(create_location),
    merge_loc_conf: None,
};

const fn command(name: ngx_str_t, offset: usize) -> ngx_command_t {
    ngx_command_t {
        name,
        type_: (NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1) as ngx_uint_t,
        set: Some(set),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset,
        post: ptr::null_mut(),
    }
}

static mut COMMANDS: [ngx_command_t; 5] = [
    command(ngx_string!("test_content"), offset_of!(Location, content)),
    command(ngx_string!("test_rewrite"), offset_of!(Location, rewrite)),
    command(ngx_string!("test_access"), offset_of!(Location, access)),
    command(ngx_string!("test_log"), offset_of!(Location, log)),
    ngx_command_t::empty(),
];

unsafe extern "C" fn create_location(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx calls this with the configuration that is being read, which has a pool.
    unsafe { ngx_pcalloc((*cf).pool, size_of::<Location>()) }
}

unsafe extern "C" fn set(cf: *mut ngx_conf_t, command: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    // SAFETY: nginx calls this for a directive of COMMANDS, with a Location.
    unsafe {
        let status = ngx_conf_set_str_slot(cf, command, conf);
        if status != NGX_CONF_OK {
            return status;
        }
        if (*command).offset == offset_of!(Location, content) {
            let Some(core) = NgxHttpCoreModule::location_conf_mut(&*cf) else { return NGX_CONF_ERROR };
            core.handler = Some(content);
        }
    }
    ptr::null_mut()
}

unsafe extern "C" fn add_handlers(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: this is postconfiguration.
    let added = unsafe {
        directive::add_handler(cf, Phase::Rewrite, Some(rewrite))
            .and_then(|()| directive::add_handler(cf, Phase::Access, Some(access)))
            .and_then(|()| directive::add_handler(cf, Phase::Log, Some(log)))
    };
    added.map_or(Status::NGX_ERROR, |()| Status::NGX_OK).0
}

macro_rules! handlers {
    ($($name:ident: $handler:path;)+) => {$(
        unsafe extern "C" fn $name(request: *mut ngx_http_request_t) -> ngx_int_t {
            // SAFETY: nginx calls a handler with a living request.
            unsafe {
                directive::handle(request, |request: &mut Request| match what(request, |location| location.$name) {
                    "" => Status::NGX_DECLINED,
                    what => $handler(request, what),
                })
            }
        }
    )+};
}

handlers! {
    content: content::handle;
    rewrite: phases::rewrite;
    access: phases::access;
    log: phases::log;
}

/// What the location says.
fn what(request: &Request, field: impl FnOnce(&Location) -> ngx_str_t) -> &'static str {
    let Some(location) = Module::location_conf(request.as_ref()) else { return "" };
    let name = field(location);
    if name.data.is_null() {
        return "";
    }
    // SAFETY: it is a string of the configuration, which lives longer than its requests.
    let bytes = unsafe { std::slice::from_raw_parts(name.data, name.len) };
    std::str::from_utf8(bytes).unwrap_or_default()
}
