//! Directives that make a location a sibling's: the module around a content handler.

#![allow(unsafe_code)]

use std::ffi::{c_char, c_void};
use std::ptr;

use ngx::core::{Status, NGX_CONF_ERROR};
use ngx::ffi::{
    ngx_command_t, ngx_conf_t, ngx_http_handler_pt, ngx_http_phases_NGX_HTTP_ACCESS_PHASE,
    ngx_http_phases_NGX_HTTP_CONTENT_PHASE, ngx_http_phases_NGX_HTTP_LOG_PHASE,
    ngx_http_phases_NGX_HTTP_POST_READ_PHASE, ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
    ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE, ngx_http_phases_NGX_HTTP_REWRITE_PHASE,
    ngx_http_phases_NGX_HTTP_SERVER_REWRITE_PHASE, ngx_http_request_t, ngx_int_t,
};
use ngx::http::{HTTPStatus, Request};

use crate::error::Error;
use crate::error::REQUIRED;
use crate::event_loop::panic::caught;
use crate::ffi::find;
use crate::nginx::conf::ConfRef;
use crate::nginx::log;

/// A whole nginx module with one directive, `DIRECTIVE on | off;` in a location, that installs a content handler.
///
/// `nginx -t` refuses the directive if the memcache module is not loaded, or does not fit. The crate that uses this
/// macro, in its root, is a `cdylib`; the module's name is the name that nginx shows in its messages.
///
/// ```no_run
/// use ngx::core::Status;
/// use ngx::http::Request;
/// use ngx_memcache::{http, Client};
///
/// ngx_memcache::content_handler! {
///     module: ngx_http_page_module,
///     directive: "page_from_memcache",
///     handler: page,
/// }
///
/// fn page(request: &mut Request) -> Status {
///     let mc = Client::from_request(request);
///     let key = request.path().as_bytes().to_vec();
///     http::spawn(request, async move { mc?.get(key).await })
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! content_handler {
    (module: $module:ident, directive: $directive:literal, handler: $handler:path $(,)?) => {
        // What nginx looks for in a loaded file; here, because the names in it have no documentation.
        mod ngx_memcache_exports {
            use super::$module;
            $crate::__private::ngx::ngx_modules!($module);
        }

        #[doc = concat!("The nginx module with the directive \"", $directive, "\".")]
        #[allow(non_upper_case_globals)]
        pub static mut $module: $crate::__private::ngx_module_t = {
            use $crate::__private as p;

            static mut CONTEXT: p::ngx_http_module_t = p::ngx_http_module_t {
                preconfiguration: None,
                postconfiguration: None,
                create_main_conf: None,
                init_main_conf: None,
                create_srv_conf: None,
                merge_srv_conf: None,
                create_loc_conf: Some($crate::http::directive::create_location),
                merge_loc_conf: None,
            };

            static mut COMMANDS: [p::ngx_command_t; 2] = [
                p::ngx_command_t {
                    name: p::ngx::ngx_string!($directive),
                    type_: (p::NGX_HTTP_LOC_CONF | p::NGX_CONF_FLAG) as p::ngx_uint_t,
                    set: Some(ngx_memcache_set),
                    conf: p::NGX_HTTP_LOC_CONF_OFFSET,
                    offset: 0,
                    post: ::core::ptr::null_mut(),
                },
                p::ngx_command_t::empty(),
            ];

            // Names that no handler of a sibling's has, which would be taken for these.
            unsafe extern "C" fn ngx_memcache_set(
                cf: *mut p::ngx_conf_t,
                command: *mut p::ngx_command_t,
                location: *mut ::core::ffi::c_void,
            ) -> *mut ::core::ffi::c_char {
                // SAFETY: nginx calls this for a directive of COMMANDS, with a location of CONTEXT.
                unsafe { $crate::http::directive::set(cf, command, location, Some(ngx_memcache_handle)) }
            }

            unsafe extern "C" fn ngx_memcache_handle(request: *mut p::ngx_http_request_t) -> p::ngx_int_t {
                // SAFETY: nginx calls a content handler with a living request.
                unsafe { $crate::http::directive::handle(request, $handler) }
            }

            p::ngx_module_t {
                ctx: (&raw mut CONTEXT).cast(),
                commands: (&raw mut COMMANDS).cast(),
                type_: p::NGX_HTTP_MODULE as p::ngx_uint_t,
                ..p::ngx_module_t::default()
            }
        };
    };
}

/// Checks, while a configuration is read, that the memcache module is loaded and fits, that this crate's bindings of nginx
/// are right, and that there is a client where the directive is. If not, one line at level "emerg" says what `directive`
/// needs, and where it is.
///
/// For modules that do not use [`content_handler!`](crate::content_handler): call it from the handler of a directive
/// that is of no use without a client, and refuse the configuration if it fails. Whether a `memcache_server` applies is
/// known when all has been read; the memcache module refuses the configuration then. In the `http` block, it is enough
/// that one server block has a client.
///
/// A module with directives of its own has configurations of its own, and nginx frees their memory without dropping
/// anything. A `String` or a `Vec` in what `ngx_pcalloc` has allocated leaks at each reload: keep `ngx_str_t` and pointers
/// to memory of the configuration's pool there, or allocate by `ngx::core::Pool::allocate`, which drops the value with
/// the pool.
///
/// # Safety
///
/// `cf` is what nginx gave to the caller, the handler of a directive in a block of HTTP.
pub unsafe fn require(cf: *mut ngx_conf_t, directive: &str) -> Result<(), Error> {
    // SAFETY: guaranteed by the caller.
    unsafe { ConfRef::new(cf) }.map_or(Err(Error::NotLoaded), |cf| require_at(cf, directive, None))
}

/// The same for a directive that names a `memcache_cluster`, whose client is [`Client::named`](crate::Client::named): "nginx -t"
/// refuses the configuration if there is none of this name.
///
/// # Safety
///
/// As of [`require`].
pub unsafe fn require_named(cf: *mut ngx_conf_t, directive: &str, cluster: &str) -> Result<(), Error> {
    // SAFETY: guaranteed by the caller.
    unsafe { ConfRef::new(cf) }.map_or(Err(Error::NotLoaded), |cf| require_at(cf, directive, Some(cluster)))
}

fn require_at(cf: ConfRef<'_>, directive: &str, cluster: Option<&str>) -> Result<(), Error> {
    let table = cf.cycle().ok_or(Error::NotLoaded).and_then(find::in_cycle);
    let required = table.and_then(|table| table.require(cf, cluster));
    match &required {
        Ok(()) => {}
        Err(Error::TooOld { major, minor } | Error::TooNew { major, minor }) => {
            cf.log_emerg(format_args!(
                "\"{directive}\" requires memcache ABI {REQUIRED}, {major}.{minor} is available"
            ));
        }
        Err(Error::NotLoaded) => cf.log_emerg(format_args!("\"{directive}\" requires ngx_http_memcache_module")),
        Err(error) => cf.log_emerg(format_args!("\"{directive}\": {error}")),
    }
    required
}

/// A phase of the processing of a request, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// When the header of the request has been read.
    PostRead,
    /// Rewriting, before the location is known.
    ServerRewrite,
    /// Rewriting, in the location.
    Rewrite,
    /// Before access is decided on.
    Preaccess,
    /// Whether the client may have it.
    Access,
    /// Before the content.
    Precontent,
    /// The content, where the location has no content handler.
    Content,
    /// When the request is about to be freed: nothing can wait there, see [`spawn_detached`](super::spawn_detached).
    Log,
}

/// Adds a handler to a phase of all requests; of several, the one that was added last is called first. It is an
/// `extern "C"` function that calls [`handle`].
///
/// Fails if there is no memory.
///
/// # Safety
///
/// `cf` is what nginx gave to the caller, in postconfiguration.
pub unsafe fn add_handler(cf: *mut ngx_conf_t, phase: Phase, handler: ngx_http_handler_pt) -> Result<(), Status> {
    let index = match phase {
        Phase::PostRead => ngx_http_phases_NGX_HTTP_POST_READ_PHASE,
        Phase::ServerRewrite => ngx_http_phases_NGX_HTTP_SERVER_REWRITE_PHASE,
        Phase::Rewrite => ngx_http_phases_NGX_HTTP_REWRITE_PHASE,
        Phase::Preaccess => ngx_http_phases_NGX_HTTP_PREACCESS_PHASE,
        Phase::Access => ngx_http_phases_NGX_HTTP_ACCESS_PHASE,
        Phase::Precontent => ngx_http_phases_NGX_HTTP_PRECONTENT_PHASE,
        Phase::Content => ngx_http_phases_NGX_HTTP_CONTENT_PHASE,
        Phase::Log => ngx_http_phases_NGX_HTTP_LOG_PHASE,
    };
    let index = usize::try_from(index).map_err(|_| Status::NGX_ERROR)?;
    // SAFETY: guaranteed by the caller.
    unsafe { ConfRef::new(cf) }.and_then(|cf| cf.add_handler(index, handler)).ok_or(Status::NGX_ERROR)
}

/// The configuration of a location: its directive's flag.
#[doc(hidden)]
pub unsafe extern "C" fn create_location(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx calls this with the configuration that is being read.
    unsafe { ConfRef::new(cf) }.map_or(ptr::null_mut(), ConfRef::new_flag)
}

/// Handles the directive: the location's content handler becomes `handler`, if the flag is "on".
///
/// # Safety
///
/// nginx calls it for a directive of a module whose location configuration was made by [`create_location`].
#[doc(hidden)]
pub unsafe fn set(
    cf: *mut ngx_conf_t,
    command: *mut ngx_command_t,
    location: *mut c_void,
    handler: ngx_http_handler_pt,
) -> *mut c_char {
    // SAFETY: guaranteed by the caller.
    let Some(cf) = (unsafe { ConfRef::new(cf) }) else { return NGX_CONF_ERROR };
    // SAFETY: guaranteed by the caller: the configuration is a flag.
    match unsafe { cf.read_flag(command, location) } {
        Ok((true, name)) => match require_at(cf, &name, None).ok().and_then(|()| cf.set_content_handler(handler)) {
            Some(true) => ptr::null_mut(),
            Some(false) => {
                cf.log_emerg(format_args!("\"{name}\" is in a location that another directive makes the answer of"));
                NGX_CONF_ERROR
            }
            None => NGX_CONF_ERROR,
        },
        Ok((false, _)) => ptr::null_mut(),
        Err(error) => error,
    }
}

/// Calls a handler. A panic, which must not reach nginx, is logged and answered with 500.
///
/// # Safety
///
/// nginx has called the caller with `request`.
pub unsafe fn handle(request: *mut ngx_http_request_t, handler: impl FnOnce(&mut Request) -> Status) -> ngx_int_t {
    // SAFETY: guaranteed by the caller, here and below.
    let called = caught(|| handler(unsafe { Request::from_ngx_http_request(request) }));
    let status = called.unwrap_or_else(|panic| {
        // SAFETY: a handler that has not returned has not given its request away.
        log::error(unsafe { Request::from_ngx_http_request(request) }, format_args!("the handler {panic}"));
        HTTPStatus::INTERNAL_SERVER_ERROR.into()
    });
    status.0
}
