//! The directives.

#![allow(non_upper_case_globals)]

use std::ffi::{c_char, c_void};
use std::ptr;

use ngx::core::{Status, NGX_CONF_ERROR};
use ngx::ffi::{
    ngx_command_t, ngx_conf_t, ngx_http_compile_complex_value, ngx_http_compile_complex_value_t,
    ngx_http_complex_value_t, ngx_http_module_t, ngx_http_request_t, ngx_int_t, ngx_module_t, ngx_palloc,
    ngx_parse_time, ngx_pcalloc, ngx_str_t, ngx_uint_t, NGX_CONF_1MORE, NGX_CONF_TAKE1, NGX_HTTP_LOC_CONF,
    NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF, NGX_HTTP_MODULE, NGX_HTTP_SRV_CONF, NGX_LOG_EMERG,
};
use ngx::http::{HttpModule, HttpModuleLocationConf, Request};
use ngx::{ngx_conf_log_error, ngx_string};
use ngx_memcache::http::directive::{self, Phase};

use crate::handler;
use crate::window::Limit;

/// The configuration of a block or location; zeros to begin with.
#[derive(Default)]
pub struct Location {
    /// Unset: inherited.
    rule: Option<Rule>,
    refuses_when_down: Option<bool>,
}

/// `rate_limit`.
#[derive(Clone, Copy)]
enum Rule {
    Off,
    On { key: &'static ngx_http_complex_value_t, limit: Limit, cluster: Option<&'static str> },
}

/// The rule for a request.
pub struct Settings {
    /// In the configuration, which outlives its requests.
    pub key: &'static ngx_http_complex_value_t,
    pub limit: Limit,
    /// The name of the cluster, if it is not that of the request.
    pub cluster: Option<&'static str>,
    /// Whether requests pass when memcached does not answer.
    pub refuses_when_down: bool,
}

impl Settings {
    /// `None`: there is no limit.
    pub fn of(request: &Request) -> Option<Self> {
        let location = Module::location_conf(request.as_ref())?;
        match location.rule? {
            Rule::Off => None,
            Rule::On { key, limit, cluster } => {
                Some(Settings { key, limit, cluster, refuses_when_down: location.refuses_when_down.unwrap_or(false) })
            }
        }
    }
}

struct Module;

impl HttpModule for Module {
    fn module() -> &'static ngx_module_t {
        // SAFETY: nginx writes to it only when it loads the module.
        unsafe { &*ptr::addr_of!(ngx_http_memcache_rate_limit_module) }
    }
}

// SAFETY: create_location() makes one.
unsafe impl HttpModuleLocationConf for Module {
    type LocationConf = Location;
}

mod exports {
    use super::ngx_http_memcache_rate_limit_module;
    ngx::ngx_modules!(ngx_http_memcache_rate_limit_module);
}

/// The module.
pub static mut ngx_http_memcache_rate_limit_module: ngx_module_t = ngx_module_t {
    ctx: (&raw mut CONTEXT).cast(),
    commands: (&raw mut COMMANDS).cast(),
    type_: NGX_HTTP_MODULE as ngx_uint_t,
    ..ngx_module_t::default()
};

static mut CONTEXT: ngx_http_module_t = ngx_http_module_t {
    preconfiguration: None,
    postconfiguration: Some(add_handler),
    create_main_conf: None,
    init_main_conf: None,
    create_srv_conf: None,
    merge_srv_conf: None,
    create_loc_conf: Some(create_location),
    merge_loc_conf: Some(merge_location),
};

const ANYWHERE: u32 = NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF;

static mut COMMANDS: [ngx_command_t; 3] = [
    ngx_command_t {
        name: ngx_string!("rate_limit"),
        type_: (ANYWHERE | NGX_CONF_1MORE) as ngx_uint_t,
        set: Some(set_rule),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t {
        name: ngx_string!("rate_limit_down"),
        type_: (ANYWHERE | NGX_CONF_TAKE1) as ngx_uint_t,
        set: Some(set_down),
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        offset: 0,
        post: ptr::null_mut(),
    },
    ngx_command_t::empty(),
];

unsafe extern "C" fn create_location(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx calls this with the configuration that is being read, which has a pool.
    unsafe {
        let location = ngx_pcalloc((*cf).pool, size_of::<Location>()).cast::<Location>();
        if !location.is_null() {
            location.write(Location::default());
        }
        location.cast()
    }
}

unsafe extern "C" fn merge_location(_cf: *mut ngx_conf_t, outer: *mut c_void, inner: *mut c_void) -> *mut c_char {
    // SAFETY: nginx calls this with two locations of create_location().
    let (outer, inner) = unsafe { (&*outer.cast::<Location>(), &mut *inner.cast::<Location>()) };
    inner.rule = inner.rule.or(outer.rule);
    inner.refuses_when_down = inner.refuses_when_down.or(outer.refuses_when_down);
    ptr::null_mut()
}

unsafe extern "C" fn add_handler(cf: *mut ngx_conf_t) -> ngx_int_t {
    // SAFETY: this is postconfiguration.
    match unsafe { directive::add_handler(cf, Phase::Access, Some(handle)) } {
        Ok(()) => Status::NGX_OK.0,
        Err(status) => status.0,
    }
}

unsafe extern "C" fn handle(request: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx calls a handler with a living request.
    unsafe { directive::handle(request, handler::access) }
}

/// `rate_limit key limit=number window=time [cluster=name];` or `rate_limit off;`
unsafe extern "C" fn set_rule(cf: *mut ngx_conf_t, _: *mut ngx_command_t, location: *mut c_void) -> *mut c_char {
    // SAFETY: nginx calls this for a directive of COMMANDS, with a location of create_location().
    let (location, args) = unsafe { (&mut *location.cast::<Location>(), arguments(cf)) };
    if location.rule.is_some() {
        return c"is duplicate".as_ptr().cast_mut();
    }
    // SAFETY: as above.
    match unsafe { rule(cf, args) } {
        Ok(rule) => {
            location.rule = Some(rule);
            ptr::null_mut()
        }
        Err(Some(text)) => {
            ngx_conf_log_error!(NGX_LOG_EMERG, cf, "{text}");
            NGX_CONF_ERROR
        }
        Err(None) => NGX_CONF_ERROR,
    }
}

/// `rate_limit_down pass | refuse;`
unsafe extern "C" fn set_down(cf: *mut ngx_conf_t, _: *mut ngx_command_t, location: *mut c_void) -> *mut c_char {
    // SAFETY: as in set_rule().
    let (location, args) = unsafe { (&mut *location.cast::<Location>(), arguments(cf)) };
    if location.refuses_when_down.is_some() {
        return c"is duplicate".as_ptr().cast_mut();
    }
    location.refuses_when_down = match args.get(1).map(ngx_str_t::as_bytes) {
        Some(b"pass") => Some(false),
        Some(b"refuse") => Some(true),
        _ => {
            let value = args.get(1).map(ngx_str_t::to_string).unwrap_or_default();
            ngx_conf_log_error!(
                NGX_LOG_EMERG,
                cf,
                "invalid value \"{value}\" in \"rate_limit_down\" directive, it must be \"pass\" or \"refuse\""
            );
            return NGX_CONF_ERROR;
        }
    };
    ptr::null_mut()
}

/// Parses the arguments. `Err(None)`: nginx, or the memcache module, has logged the error.
///
/// # Safety
///
/// `cf` is being read.
unsafe fn rule(cf: *mut ngx_conf_t, args: &mut [ngx_str_t]) -> Result<Rule, Option<String>> {
    let [_, key, rest @ ..] = args else { return Err(None) };
    if key.as_bytes() == b"off" && rest.is_empty() {
        return Ok(Rule::Off);
    }
    if [&b"limit="[..], b"window="].iter().any(|name| key.as_bytes().starts_with(name)) {
        return Err(Some("\"rate_limit\" needs a key before \"limit=\" and \"window=\"".into()));
    }
    let (mut requests, mut window, mut cluster) = (None, None, None);
    for arg in rest {
        let refused = |valid| Some(format!("invalid parameter \"{arg}\" in \"rate_limit\" directive, {valid}"));
        if let Some(number) = arg.as_bytes().strip_prefix(b"limit=") {
            let number =
                std::str::from_utf8(number).ok().and_then(|text| text.parse().ok()).filter(|&number| number > 0);
            let number = number.ok_or_else(|| refused("it must be a number from 1"))?;
            if requests.replace(number).is_some() {
                return Err(refused("it is duplicate"));
            }
        } else if arg.as_bytes().starts_with(b"window=") {
            let seconds = u32::try_from(seconds(arg)).ok().filter(|seconds| (1..=MAX_WINDOW).contains(seconds));
            let seconds = seconds.ok_or_else(|| refused("it must be a time from 1s to 24h"))?;
            if window.replace(seconds).is_some() {
                return Err(refused("it is duplicate"));
            }
        } else if let Some(name) = arg.as_bytes().strip_prefix(b"cluster=") {
            // SAFETY: the words of a line live as long as the configuration.
            let name: &'static [u8] = unsafe { std::slice::from_raw_parts(name.as_ptr(), name.len()) };
            let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| refused("it must be the name of a memcache_cluster"))?;
            if cluster.replace(name).is_some() {
                return Err(refused("it is duplicate"));
            }
        } else {
            return Err(refused("there are \"limit=\", \"window=\" and \"cluster=\""));
        }
    }
    let (Some(requests), Some(window)) = (requests, window) else {
        return Err(Some("\"rate_limit\" needs \"limit=\" and \"window=\"".into()));
    };
    // SAFETY: guaranteed by the caller.
    unsafe {
        match cluster {
            Some(cluster) => directive::require_named(cf, "rate_limit", cluster),
            None => directive::require(cf, "rate_limit"),
        }
        .map_err(|_| None)?;
        let key = compile(cf, key).ok_or(None)?;
        Ok(Rule::On { key, limit: Limit { requests, window }, cluster })
    }
}

/// Seconds of a window at most: a day.
const MAX_WINDOW: u32 = 24 * 60 * 60;

/// The time after the `=`; negative: it is invalid.
fn seconds(arg: &ngx_str_t) -> ngx_int_t {
    const NAME: usize = b"window=".len();

    // SAFETY: the string begins with NAME bytes; what is left of it is only read.
    unsafe {
        let mut time = ngx_str_t { len: arg.len.saturating_sub(NAME), data: arg.data.add(NAME) };
        ngx_parse_time(&mut time, 1)
    }
}

/// A text with variables. It lives as long as the configuration.
///
/// # Safety
///
/// `cf` is being read.
unsafe fn compile(cf: *mut ngx_conf_t, text: &mut ngx_str_t) -> Option<&'static ngx_http_complex_value_t> {
    // SAFETY: guaranteed by the caller; zeros are what nginx's own modules start with.
    unsafe {
        let value = ngx_palloc((*cf).pool, size_of::<ngx_http_complex_value_t>()).cast::<ngx_http_complex_value_t>();
        value.as_mut()?;
        value.write_bytes(0, 1);
        let mut compile: ngx_http_compile_complex_value_t = std::mem::zeroed();
        compile.cf = cf;
        compile.value = text;
        compile.complex_value = value;
        (ngx_http_compile_complex_value(&mut compile) == Status::NGX_OK.0).then(|| &*value)
    }
}

/// The directive's name and its arguments.
///
/// # Safety
///
/// `cf` is being read, at a directive.
unsafe fn arguments<'a>(cf: *mut ngx_conf_t) -> &'a mut [ngx_str_t] {
    // SAFETY: guaranteed by the caller.
    unsafe { (*(*cf).args).as_slice_mut() }
}
