//! Directives, as nginx's table has them.

#![allow(unsafe_code)]

use core::ffi::{c_char, c_void, CStr};
use core::mem;

use nginx_sys::{
    ngx_command_t, ngx_conf_t, ngx_str_t, ngx_uint_t, NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF,
    NGX_HTTP_MAIN_CONF_OFFSET, NGX_HTTP_SRV_CONF, NGX_HTTP_SRV_CONF_OFFSET,
};

use super::{conf_error, Conf, LineError, CONF_OK};
use crate::nginx::guard::guard;
use crate::nginx::module::{LocationConf, ServerConf};

/// Reads a line into the configuration of its block.
pub type Apply<T> = fn(&mut Conf<'_>, &mut T) -> Result<(), LineError>;
/// Reads a line of the http block, whose configuration it asks for.
pub type ApplyMain = fn(&mut Conf<'_>) -> Result<(), LineError>;

/// The configuration of a block that looks at its lines.
pub trait Block {
    /// The line of a directive that [`in_server`] has made is about to be read.
    fn begins(&mut self, line: &Conf<'_>);
}

/// A directive of `http` and `server` blocks.
pub const fn in_server<T: ServerConf + Block>(name: &'static CStr, arguments: u32, apply: Apply<T>) -> ngx_command_t {
    let blocks = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF;
    command(name, blocks | arguments, NGX_HTTP_SRV_CONF_OFFSET, set_in_server::<T>, apply as *mut c_void)
}

/// A directive of locations.
pub const fn in_location<T: LocationConf>(name: &'static CStr, arguments: u32, apply: Apply<T>) -> ngx_command_t {
    command(name, NGX_HTTP_LOC_CONF | arguments, NGX_HTTP_LOC_CONF_OFFSET, set::<T>, apply as *mut c_void)
}

/// A directive of `http`, `server` and locations, whose configuration is that of a location.
pub const fn in_all<T: LocationConf>(name: &'static CStr, arguments: u32, apply: Apply<T>) -> ngx_command_t {
    let blocks = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;
    command(name, blocks | arguments, NGX_HTTP_LOC_CONF_OFFSET, set::<T>, apply as *mut c_void)
}

/// A directive of the http block.
pub const fn in_http(name: &'static CStr, arguments: u32, apply: ApplyMain) -> ngx_command_t {
    command(name, NGX_HTTP_MAIN_CONF | arguments, NGX_HTTP_MAIN_CONF_OFFSET, set_main, apply as *mut c_void)
}

type Set = unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

/// `apply` is of the type that `set` takes it for.
const fn command(name: &'static CStr, kind: u32, conf: usize, set: Set, apply: *mut c_void) -> ngx_command_t {
    let name = name.to_bytes();
    ngx_command_t {
        name: ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() },
        type_: kind as ngx_uint_t,
        set: Some(set),
        conf,
        offset: 0,
        post: apply,
    }
}

/// # Safety
///
/// nginx calls the handler of a directive that `in_location` or `in_all` has made.
unsafe extern "C" fn set<T>(cf: *mut ngx_conf_t, command: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    // SAFETY: by the contract.
    unsafe { read::<T>(cf, command, conf, |_, _| {}) }
}

/// # Safety
///
/// nginx calls the handler of a directive that `in_server` has made.
unsafe extern "C" fn set_in_server<T: Block>(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
) -> *mut c_char {
    // SAFETY: by the contract.
    unsafe { read::<T>(cf, command, conf, T::begins) }
}

/// # Safety
///
/// nginx calls the handler of a directive, whose configuration is a T, and whose `post` an `Apply<T>`.
unsafe fn read<T>(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    conf: *mut c_void,
    begins: fn(&mut T, &Conf<'_>),
) -> *mut c_char {
    guard(conf_error(), || {
        // SAFETY: by the contract: the configuration is the one of the block, a T, which nothing else refers to, and `post`
        // is an `Apply<T>`.
        let (line, conf, apply) = unsafe {
            let apply = mem::transmute::<*mut c_void, Apply<T>>((*command).post);
            (Conf::new(cf), conf.cast::<T>().as_mut(), apply)
        };
        let Some((mut line, conf)) = line.zip(conf) else { return conf_error() };
        begins(conf, &line);
        apply(&mut line, conf).map_or_else(|error| line.refuse(error), |()| CONF_OK)
    })
}

/// # Safety
///
/// nginx calls the handler of a directive that `in_http` has made.
unsafe extern "C" fn set_main(cf: *mut ngx_conf_t, command: *mut ngx_command_t, _: *mut c_void) -> *mut c_char {
    guard(conf_error(), || {
        // SAFETY: by the contract, and `post` is an `ApplyMain`.
        let (line, apply) = unsafe { (Conf::new(cf), mem::transmute::<*mut c_void, ApplyMain>((*command).post)) };
        let Some(mut line) = line else { return conf_error() };
        apply(&mut line).map_or_else(|error| line.refuse(error), |()| CONF_OK)
    })
}
