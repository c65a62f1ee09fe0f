//! A block whose lines are directives of our own: nginx reads it, and each line is handled here.

#![allow(unsafe_code)]

use core::ffi::{c_char, c_void};
use core::ptr::null_mut;

use nginx_sys::{
    ngx_command_t, ngx_conf_include, ngx_conf_parse, ngx_conf_t, ngx_uint_t, NGX_CONF_1MORE, NGX_CONF_2MORE,
    NGX_HTTP_SRV_CONF_OFFSET,
};

use super::{conf_error, Conf, LineError, CONF_OK};
use crate::nginx::guard::guard;
use crate::nginx::module::{self, ServerConf};

/// What the lines of a block are read with.
struct Reader<'a, T>(&'a mut T);

/// Reads the block that begins with this line. Its lines are the module's directives for server blocks, and `include`.
pub fn read<T: ServerConf>(line: &mut Conf<'_>, conf: &mut T) -> Result<(), LineError> {
    let mut reader = Reader(conf);
    let cf = line.as_ptr();
    // SAFETY: by the contract of `Conf::new` it is ours while this directive is handled. nginx calls `handle` with `reader` for
    // each line before `ngx_conf_parse` returns, and has its own handler again before anything else happens.
    let read = unsafe {
        let outside = ((*cf).handler, (*cf).handler_conf);
        (*cf).handler = Some(handle::<T>);
        (*cf).handler_conf = (&raw mut reader).cast();
        let read = ngx_conf_parse(cf, null_mut());
        ((*cf).handler, (*cf).handler_conf) = outside;
        read
    };
    if read == CONF_OK {
        Ok(())
    } else {
        Err(LineError::Logged)
    }
}

/// # Safety
///
/// nginx calls it for a line of the block that `read` reads.
unsafe extern "C" fn handle<T>(cf: *mut ngx_conf_t, dummy: *mut ngx_command_t, _: *mut c_void) -> *mut c_char {
    guard(conf_error(), || {
        // SAFETY: by the contract; `read` has put its reader there, and nobody else uses it.
        let (line, reader) = unsafe { (Conf::new(cf), (*cf).handler_conf.cast::<Reader<'_, T>>().as_mut()) };
        let Some((line, reader)) = line.zip(reader) else { return conf_error() };
        if line.name() == b"include" && line.args().len() == 1 {
            // SAFETY: a function of nginx for this line; it reads the file with the same handler.
            return unsafe { ngx_conf_include(cf, dummy, null_mut()) };
        }
        let name = line.name().escape_ascii();
        let Some(command) = command(line.name()) else {
            return line.refuse(LineError::Text(format!("\"{name}\" directive is not allowed here")));
        };
        if !takes(command.type_, line.args().len()) {
            return line.refuse(LineError::Text(format!("invalid number of arguments in \"{name}\" directive")));
        }
        let Some(set) = command.set else { return conf_error() };
        let command = core::ptr::from_ref(command).cast_mut();
        // SAFETY: the directive is one for a configuration of a server block, which a T is.
        let answer = unsafe { set(cf, command, core::ptr::from_mut(reader.0).cast()) };
        if answer == CONF_OK || answer == conf_error() {
            return answer;
        }
        // SAFETY: what is neither of the two is a text of ours that ends with a zero.
        let text = unsafe { core::ffi::CStr::from_ptr(answer) }.to_string_lossy();
        line.refuse(LineError::Text(format!("\"{name}\" directive {text}")))
    })
}

/// The module's directive of this name for server blocks.
fn command(name: &[u8]) -> Option<&'static ngx_command_t> {
    // SAFETY: the module is loaded, and its list of directives ends with one without a name. Nobody changes it.
    let all = (0..).map_while(|n| unsafe {
        let command = &*(*module::as_ptr()).commands.add(n);
        (command.name.len > 0).then_some(command)
    });
    let mut all = all.filter(|command| command.conf == NGX_HTTP_SRV_CONF_OFFSET);
    all.find(|command| command.name.as_bytes() == name)
}

/// Whether a directive of this type takes so many arguments, as nginx decides it (`ngx_conf_handler`).
fn takes(kind: ngx_uint_t, arguments: usize) -> bool {
    let is = |flag: u32| kind & flag as ngx_uint_t != 0;
    match arguments {
        0 => kind & 1 != 0,
        _ if is(NGX_CONF_1MORE) => true,
        2.. if is(NGX_CONF_2MORE) => true,
        1..=7 => kind >> arguments & 1 != 0,
        _ => false,
    }
}
