//! A configuration while nginx reads it: lines, blocks, and the module's part of each.

#![allow(unsafe_code)]

pub mod directive;
pub mod lines;

use core::ffi::{c_char, c_void, CStr};
use core::fmt;
use core::marker::PhantomData;
use core::ptr::{self, null_mut, NonNull};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use nginx_sys::{
    ngx_conf_full_name, ngx_conf_t, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t, ngx_http_core_srv_conf_t, ngx_int_t,
    ngx_str_t, NGX_HTTP_LOC_CONF, NGX_HTTP_MODULE, NGX_LOG_EMERG, NGX_OK,
};

use super::cycle::Cycle;
use super::guard::guard;
use super::log::Log;
use super::module::{self, LocationConf, MainConf, ServerConf};
use super::pool;
use super::request::{self, Handler};

const CONF_OK: *mut c_char = null_mut();

/// `NGX_CONF_ERROR`: the line was refused, and why has been logged.
fn conf_error() -> *mut c_char {
    ptr::without_provenance_mut(usize::MAX)
}

/// Why a line, or a block, is refused.
pub enum LineError {
    /// nginx puts the directive's name in front of this text.
    Plain(&'static CStr),
    /// A text of our own.
    Text(String),
    /// A text of our own, about a line that was read before.
    At(String, Position),
    /// It has been logged: there is no memory.
    Logged,
}

impl LineError {
    /// The directive was given before in the same block.
    pub const DUPLICATE: LineError = LineError::Plain(c"is duplicate");
}

/// Where a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    file: Rc<str>,
    line: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The argument of functions that read a configuration. It is valid, and nobody else changes it, until the function
/// returns.
pub struct Conf<'a>(NonNull<ngx_conf_t>, PhantomData<&'a mut ngx_conf_t>);

impl<'a> Conf<'a> {
    /// # Safety
    ///
    /// nginx has passed `cf` to a function of ours that has not returned; this is its only `Conf`.
    pub unsafe fn new(cf: *mut ngx_conf_t) -> Option<Conf<'a>> {
        NonNull::new(cf).map(|cf| Conf(cf, PhantomData))
    }

    /// nginx's own.
    pub fn as_ptr(&self) -> *mut ngx_conf_t {
        self.0.as_ptr()
    }

    fn get(&self) -> &ngx_conf_t {
        // SAFETY: by the contract of `new`.
        unsafe { self.0.as_ref() }
    }

    /// The log for its errors.
    pub fn log(&self) -> Option<Log<'_>> {
        // SAFETY: nginx reads a configuration with a log.
        unsafe { Log::new(self.get().log) }
    }

    /// Its cycle, for values that live in the cycle's pool.
    pub fn cycle(&self) -> Option<Cycle<'static>> {
        // SAFETY: the cycle is there as long as its pool.
        unsafe { Cycle::new(self.get().cycle) }
    }

    fn ctx(&self) -> Option<&ngx_http_conf_ctx_t> {
        // SAFETY: the module's directives and hooks are those of the http block and of blocks in it, which have such a
        // context; the context of others is not looked at by `block`.
        unsafe { self.get().ctx.cast::<ngx_http_conf_ctx_t>().as_ref() }
    }

    /// The module's part of the http block.
    pub fn main<T: MainConf>(&mut self) -> Option<&mut T> {
        // SAFETY: nobody else has it: hooks and handlers get it from here alone.
        self.main_ptr().map(|mut conf| unsafe { conf.as_mut() })
    }

    /// The same as a pointer, for nginx. It is valid until the configuration goes.
    pub fn main_ptr<T: MainConf>(&self) -> Option<NonNull<T>> {
        // SAFETY: `main_conf` of each context is the one array of those of the http block.
        unsafe { module::conf(self.ctx()?.main_conf) }
    }

    /// The first `server_name` of the server block that is being merged.
    pub fn server_name(&self) -> &[u8] {
        let Some(ctx) = self.ctx() else { return &[] };
        // SAFETY: the configuration of nginx's core comes first, has been merged, and lives as long as the configuration.
        let core = unsafe { module::core_conf::<ngx_http_core_srv_conf_t>(ctx.srv_conf).map(|core| core.as_ref()) };
        core.map_or(&[], |core| core.server_name.as_bytes())
    }

    /// Whether the location that is being read is named by the beginning of a path.
    pub fn is_in_prefix_location(&self) -> bool {
        // SAFETY: as in `set_handler`.
        let core = unsafe {
            let core = self.ctx().and_then(|ctx| module::core_conf::<ngx_http_core_loc_conf_t>(ctx.loc_conf));
            core.map(|core| core.as_ref())
        };
        core.is_some_and(|core| {
            core.regex.is_null() && core.exact_match() == 0 && core.named() == 0 && core.noname() == 0
        })
    }

    /// What nginx's core has for the locations of the server block that is being merged; it is complete.
    pub fn core_of_server(&self) -> Option<NonNull<ngx_http_core_loc_conf_t>> {
        // SAFETY: as in `server_name`. `loc_conf` of the context that is passed is that of another block.
        unsafe {
            let core = module::core_conf::<ngx_http_core_srv_conf_t>(self.ctx()?.srv_conf)?;
            module::core_conf((*core.as_ref().ctx).loc_conf)
        }
    }

    /// The same of the http block, which is what blocks inherit from.
    pub fn core_of_http(&self) -> Option<NonNull<ngx_http_core_loc_conf_t>> {
        // SAFETY: while hooks of the http block run, the context is that of the http block.
        unsafe { module::core_conf(self.ctx()?.loc_conf) }
    }

    /// Sets the handler of the location that is being read. It can have one: nginx would take the last one, without a word.
    pub fn set_handler<H: Handler>(&mut self) -> Result<(), LineError> {
        // SAFETY: a location has a configuration of nginx's core, which nobody refers to now.
        unsafe {
            let core = self.ctx().and_then(|ctx| module::core_conf::<ngx_http_core_loc_conf_t>(ctx.loc_conf));
            let handler = core.map(|core| &mut (*core.as_ptr()).handler).ok_or(LineError::Logged)?;
            if handler.replace(request::handle::<H>).is_some() {
                return Err(LineError::Text(format!(
                    "\"{}\" is in a location that another directive makes the answer of",
                    self.name().escape_ascii()
                )));
            }
        }
        Ok(())
    }

    /* the line that is being read */

    fn words(&self) -> &'a [ngx_str_t] {
        // SAFETY: while a directive is handled, `args` is an array of its words, the name first.
        unsafe { self.get().args.as_ref().map_or(&[][..], |args| args.as_slice()) }
    }

    /// The directive's arguments, without its name.
    pub fn args(&self) -> &'a [ngx_str_t] {
        self.words().get(1..).unwrap_or_default()
    }

    /// The directive's name.
    pub fn name(&self) -> &'a [u8] {
        self.words().first().map_or(&[], ngx_str_t::as_bytes)
    }

    /// The argument of a directive with one argument.
    pub fn arg(&self) -> &'a [u8] {
        self.args().first().map_or(&[], ngx_str_t::as_bytes)
    }

    /// The file that the directive's argument names: relative names begin at nginx.conf's folder. `None`: no memory, which
    /// is logged.
    pub fn full_name(&self) -> Option<PathBuf> {
        let mut name = *self.args().first()?;
        // SAFETY: a word of the line ends with a zero, as nginx's parser leaves it, and so does what nginx makes of it, in the
        // pool of the cycle.
        let full = unsafe { ngx_conf_full_name(self.get().cycle, &raw mut name, 1) };
        (full == NGX_OK as ngx_int_t).then(|| PathBuf::from(OsStr::from_bytes(name.as_bytes())))
    }

    /// Where the line is.
    pub fn position(&self) -> Position {
        // SAFETY: while a line is read, `conf_file` is the file that it is in; there is none for `nginx -g`.
        match unsafe { self.get().conf_file.as_ref() } {
            Some(conf) => Position { file: conf.file.name.to_string().into(), line: conf.line },
            None => Position { file: "command line".into(), line: 0 },
        }
    }

    /// Whether the line is in a location.
    pub fn is_in_location(&self) -> bool {
        self.get().cmd_type == NGX_HTTP_LOC_CONF as usize
    }

    /// The module's part of the server block that the line is in, or of the http block.
    pub fn server<S: ServerConf>(&mut self) -> Option<&mut S> {
        // SAFETY: nobody else has it while a line that is another's is read: see `main`.
        unsafe { module::conf(self.ctx()?.srv_conf).map(|mut conf| conf.as_mut()) }
    }

    /// The block that the line is in; `None`: it is not one of HTTP.
    pub fn block(&self) -> Option<Block> {
        let ctx = NonNull::new(self.get().ctx.cast());
        ctx.filter(|_| self.get().module_type == NGX_HTTP_MODULE as usize).map(Block)
    }

    /// Warns of a line that is allowed but probably not intended.
    pub fn warn(&self, text: fmt::Arguments<'_>) {
        if let Some(log) = self.log() {
            log.warn(format_args!("{text} in {}", self.position()));
        }
    }

    /// Logs the error, unless nginx does, and returns the handler's result.
    pub fn refuse(&self, error: LineError) -> *mut c_char {
        match error {
            LineError::Plain(text) => return text.as_ptr().cast_mut(),
            LineError::Logged => {}
            LineError::At(text, position) => {
                if let Some(log) = self.log() {
                    log.emerg(format_args!("{text} in {position}"));
                }
            }
            LineError::Text(text) => {
                let (len, data) = (text.len(), text.as_ptr());
                // SAFETY: "%*s" takes a size_t and a pointer; the text is copied before the call returns.
                unsafe {
                    nginx_sys::ngx_conf_log_error(NGX_LOG_EMERG as usize, self.as_ptr(), 0, c"%*s".as_ptr(), len, data);
                }
            }
        }
        conf_error()
    }
}

/// A block of HTTP, for checks when all blocks were read. It lives as long as the configuration.
#[derive(Clone, Copy)]
pub struct Block(NonNull<ngx_http_conf_ctx_t>);

impl Block {
    /// What all modules have of the location, in a list by their numbers.
    pub(super) fn locations(&self) -> *mut *mut c_void {
        self.ctx().loc_conf
    }

    fn ctx(&self) -> &ngx_http_conf_ctx_t {
        // SAFETY: a context lives as long as the configuration.
        unsafe { self.0.as_ref() }
    }
}

/// The complete http block: the argument of `postconfiguration`.
pub struct HttpBlock<'a>(Conf<'a>);

impl<'a> HttpBlock<'a> {
    /// # Safety
    ///
    /// As for [`Conf::new`]; the function is `postconfiguration`.
    pub unsafe fn new(cf: *mut ngx_conf_t) -> Option<HttpBlock<'a>> {
        // SAFETY: by the contract.
        unsafe { Conf::new(cf) }.map(HttpBlock)
    }

    /// nginx's own.
    pub fn as_ptr(&self) -> *mut ngx_conf_t {
        self.0.as_ptr()
    }

    /// Where nginx says what is wrong with it.
    pub fn log(&self) -> Option<Log<'_>> {
        self.0.log()
    }

    /// For what lives as long as the configuration.
    pub fn conf(&self) -> &Conf<'a> {
        &self.0
    }

    /// The module's part of it.
    pub fn main<M: MainConf>(&self) -> Option<&M> {
        // SAFETY: the context is that of the http block.
        unsafe { module::conf(self.0.ctx()?.main_conf).map(|conf| conf.as_ref()) }
    }

    /// The module's part of it, and the part that server blocks inherit.
    pub fn confs<M: MainConf, S: ServerConf>(&mut self) -> Option<(&mut M, &mut S)> {
        let ctx = self.0.ctx()?;
        // SAFETY: the context is that of the http block. They are two values, and nobody else has them: see `Conf::main`.
        unsafe {
            let (mut main, mut server) = (module::conf(ctx.main_conf)?, module::conf(ctx.srv_conf)?);
            Some((main.as_mut(), server.as_mut()))
        }
    }

    /// The module's part of the server block that a block is, or is in.
    pub fn server<S: ServerConf>(&self, block: Block) -> Option<&S> {
        // SAFETY: a context has our part of its server block, which lives as long as the configuration.
        unsafe { module::conf(block.ctx().srv_conf).map(|conf| conf.as_ref()) }
    }

    /// The module's part of the location that a block is; of one that is none, the part for its locations.
    pub fn location<L: LocationConf>(&self, block: Block) -> Option<&L> {
        // SAFETY: as in `server`.
        unsafe { module::conf(block.ctx().loc_conf).map(|conf| conf.as_ref()) }
    }

    /// Whether a block is in no server block.
    pub fn is_outside(&self, block: Block) -> bool {
        // SAFETY: as in `server`.
        let of = |ctx: &ngx_http_conf_ctx_t| unsafe { module::conf::<c_void>(ctx.srv_conf) };
        self.0.ctx().and_then(of).is_some_and(|outer| of(block.ctx()) == Some(outer))
    }
}

/* the module's configurations */

/// A configuration that inherits from the one around it.
pub trait Merge: Sized {
    /// `outer` was complete before `inner`.
    fn merge(conf: &mut Conf<'_>, outer: &Self, inner: &mut Self) -> Result<(), LineError>;
}

/// Makes the empty configuration of a block, for nginx. It lives as long as the configuration.
///
/// # Safety
///
/// nginx calls it while it reads a block.
pub unsafe extern "C" fn create<T: Default + 'static>(cf: *mut ngx_conf_t) -> *mut c_void {
    guard(null_mut(), || {
        // SAFETY: by the contract, `cf` has its pool, which drops the value when the configuration goes.
        let conf = unsafe { pool::place((*cf).pool, T::default()) };
        conf.map_or(null_mut(), |conf| conf.as_ptr().cast())
    })
}

/// Completes what the module has of the http block, for nginx.
///
/// # Safety
///
/// nginx calls it when all lines were read.
pub unsafe fn complete(cf: *mut ngx_conf_t, body: fn(&mut HttpBlock<'_>) -> Result<(), LineError>) -> *mut c_char {
    guard(conf_error(), || {
        // SAFETY: by the contract.
        let Some(mut http) = (unsafe { HttpBlock::new(cf) }) else { return conf_error() };
        body(&mut http).map_or_else(|error| http.conf().refuse(error), |()| CONF_OK)
    })
}

/// Completes the configuration of a block, for nginx.
///
/// # Safety
///
/// nginx calls it with two configurations that [`create`] has made of this type.
pub unsafe extern "C" fn merge<T: Merge>(cf: *mut ngx_conf_t, outer: *mut c_void, inner: *mut c_void) -> *mut c_char {
    guard(conf_error(), || {
        // SAFETY: by the contract; they are different, and nothing else refers to them.
        let (conf, outer, inner) = unsafe { (Conf::new(cf), outer.cast::<T>().as_ref(), inner.cast::<T>().as_mut()) };
        let (Some(mut conf), Some(outer), Some(inner)) = (conf, outer, inner) else { return conf_error() };
        T::merge(&mut conf, outer, inner).map_or_else(|error| conf.refuse(error), |()| CONF_OK)
    })
}
