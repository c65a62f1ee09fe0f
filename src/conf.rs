//! The directives, and what they become: clusters of the configuration, each shared by all servers that mean the same.

#![allow(unsafe_code)]

mod check;
mod directive;
mod server;
mod settings;

use core::ffi::{c_char, c_void};
use core::ptr::{addr_of, null_mut, NonNull};
use core::time::Duration;

use bytes::Bytes;
use memcache_engine::{Failover, Hash};
use memcache_status::Format;
use nginx_sys::{
    ngx_command_t, ngx_conf_t, ngx_cycle_t, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t, ngx_http_core_module,
    ngx_http_core_srv_conf_t, ngx_int_t, ngx_str_t, ngx_uint_t, NGX_CONF_1MORE, NGX_CONF_NOARGS, NGX_CONF_TAKE1,
    NGX_ERROR, NGX_HTTP_LOC_CONF, NGX_HTTP_LOC_CONF_OFFSET, NGX_HTTP_MAIN_CONF, NGX_HTTP_MAIN_CONF_OFFSET,
    NGX_HTTP_SRV_CONF, NGX_HTTP_SRV_CONF_OFFSET, NGX_OK,
};

use self::directive::{conf_error, CONF_OK};
use self::settings::{At, Settings};
use crate::cluster::{Cluster, Clusters};
use crate::nginx::guard::{guard, log_panics};
use crate::nginx::log::Log;
use crate::nginx::pool;
use crate::nginx::{module, request};
use crate::status::LocationConf;
use crate::{abi, ctx_index, status, variables, worker, zone};

pub use self::check::Want;
pub use self::directive::{Directive, Place, Refusal};
pub use self::settings::Addresses;

/// The longest `memcache_prefix`, in bytes: what is left of memcached's 250 has to be enough for keys.
const MAX_PREFIX: usize = 200;
/// The largest `memcache_pipeline`.
const MAX_PIPELINE: usize = 4096;
/// The largest `memcache_queue`.
const MAX_QUEUE: usize = 1024 * 1024;
/// The largest `memcache_max_value`, in bytes: memcached's own limit.
const MAX_VALUE: usize = 1024 * 1024 * 1024;
/// The largest `memcache_max_retained`, in bytes.
const MAX_RETAINED: usize = 1024 * 1024 * 1024 * 1024;
/// The largest `memcache_max_fails`.
const MAX_FAILS: usize = 65_535;

/// The module's configuration of a server block.
#[derive(Default)]
pub struct ServerConf {
    settings: Settings,
    /// The cluster that the block uses, known when it has inherited; none without a `memcache_server`.
    pub cluster: Option<NonNull<Cluster>>,
}

impl ServerConf {
    /// The module's part of a context.
    ///
    /// # Safety
    ///
    /// The context is that of the http block, or of a block in it.
    pub unsafe fn of_context(ctx: &ngx_http_conf_ctx_t) -> Option<NonNull<ServerConf>> {
        if ctx.srv_conf.is_null() {
            return None;
        }
        // SAFETY: by the contract, there is one configuration for each module, and ours was made by `create_srv_conf`.
        NonNull::new(unsafe { (*ctx.srv_conf.add(ctx_index())).cast() })
    }
}

type Apply = fn(&Directive<'_>, &mut Settings) -> Result<(), Refusal>;

/// The directives.
pub static mut COMMANDS: [ngx_command_t; 16] = [
    command(c"memcache_server".to_bytes(), NGX_CONF_1MORE, set_server),
    command(c"memcache_hash".to_bytes(), NGX_CONF_TAKE1, set_hash),
    command(c"memcache_failover".to_bytes(), NGX_CONF_TAKE1, set_failover),
    command(c"memcache_timeout".to_bytes(), NGX_CONF_TAKE1, set_timeout),
    command(c"memcache_connect_timeout".to_bytes(), NGX_CONF_TAKE1, set_connect_timeout),
    command(c"memcache_max_fails".to_bytes(), NGX_CONF_TAKE1, set_max_fails),
    command(c"memcache_retry".to_bytes(), NGX_CONF_TAKE1, set_retry),
    command(c"memcache_pipeline".to_bytes(), NGX_CONF_TAKE1, set_pipeline),
    command(c"memcache_queue".to_bytes(), NGX_CONF_TAKE1, set_queue),
    command(c"memcache_coalesce".to_bytes(), NGX_CONF_TAKE1, set_coalesce),
    command(c"memcache_max_value".to_bytes(), NGX_CONF_TAKE1, set_max_value),
    command(c"memcache_prefix".to_bytes(), NGX_CONF_TAKE1, set_prefix),
    ngx_command_t {
        type_: (NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1) as ngx_uint_t,
        conf: NGX_HTTP_MAIN_CONF_OFFSET,
        ..command(c"memcache_zone".to_bytes(), 0, set_zone)
    },
    ngx_command_t {
        type_: (NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1) as ngx_uint_t,
        conf: NGX_HTTP_MAIN_CONF_OFFSET,
        ..command(c"memcache_max_retained".to_bytes(), 0, set_max_retained)
    },
    ngx_command_t {
        type_: (NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1) as ngx_uint_t,
        conf: NGX_HTTP_LOC_CONF_OFFSET,
        ..command(c"memcache_status".to_bytes(), 0, set_status)
    },
    ngx_command_t::empty(),
];

type Handler = unsafe extern "C" fn(*mut ngx_conf_t, *mut ngx_command_t, *mut c_void) -> *mut c_char;

/// A directive of `http` and `server` blocks.
const fn command(name: &'static [u8], arguments: u32, set: Handler) -> ngx_command_t {
    ngx_command_t {
        name: ngx_str_t { len: name.len(), data: name.as_ptr().cast_mut() },
        type_: (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | arguments) as ngx_uint_t,
        set: Some(set),
        conf: NGX_HTTP_SRV_CONF_OFFSET,
        offset: 0,
        post: null_mut(),
    }
}

/* handlers of the directives */

/// Reads one line into the settings of its block.
///
/// # Safety
///
/// As nginx calls the handler of a directive: `conf` is what `create_srv_conf` made for the block.
unsafe fn set(cf: *mut ngx_conf_t, conf: *mut c_void, apply: Apply) -> *mut c_char {
    guard(conf_error(), || {
        // SAFETY: by the contract, `cf` is there until the handler returns.
        let line = unsafe { Directive::new(cf) };
        // SAFETY: by the contract; nothing else refers to it while a line is read.
        let Some(conf) = (unsafe { conf.cast::<ServerConf>().as_mut() }) else { return conf_error() };
        match apply(&line, &mut conf.settings) {
            Ok(()) => CONF_OK,
            Err(refusal) => line.refuse(refusal),
        }
    })
}

macro_rules! handler {
    ($name:ident, $apply:expr) => {
        unsafe extern "C" fn $name(cf: *mut ngx_conf_t, _: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
            // SAFETY: nginx calls the handler of a directive with the configuration that its table names.
            unsafe { set(cf, conf, $apply) }
        }
    };
}

handler!(set_server, server::add);
handler!(set_hash, |line, settings| {
    let parse = || Hash::parse(line.arg()).ok_or_else(|| line.invalid_word(&Hash::ALL.map(Hash::name)));
    once(&mut settings.hash, || Ok(At { value: parse()?, place: line.place() }))
});
handler!(set_failover, |line, settings| {
    let parse = || Failover::parse(line.arg()).ok_or_else(|| line.invalid_word(&Failover::ALL.map(Failover::name)));
    once(&mut settings.failover, parse)
});
handler!(set_timeout, |line, settings| once(&mut settings.timeout, || time(line)));
handler!(set_connect_timeout, |line, settings| once(&mut settings.connect_timeout, || time(line)));
handler!(set_max_fails, |line, settings| {
    once(&mut settings.max_fails, || line.number(1, MAX_FAILS).map(|n| u32::try_from(n).unwrap_or(u32::MAX)))
});
handler!(set_retry, |line, settings| once(&mut settings.retry, || line.time()));
handler!(set_pipeline, |line, settings| once(&mut settings.pipeline, || line.number(1, MAX_PIPELINE)));
handler!(set_queue, |line, settings| once(&mut settings.queue, || line.number(0, MAX_QUEUE)));
handler!(set_coalesce, |line, settings| once(&mut settings.coalesce, || flag(line)));
handler!(set_max_value, |line, settings| once(&mut settings.max_value, || line.size(1, MAX_VALUE)));
handler!(set_prefix, |line, settings| once(&mut settings.prefix, || prefix(line)));

/// Sets what may be set once in a block.
fn once<T>(slot: &mut Option<T>, parse: impl FnOnce() -> Result<T, Refusal>) -> Result<(), Refusal> {
    if slot.is_some() {
        return Err(Refusal::DUPLICATE);
    }
    *slot = Some(parse()?);
    Ok(())
}

/// A time that is compared with others when the block is complete.
fn time(line: &Directive<'_>) -> Result<At<Duration>, Refusal> {
    Ok(At { value: line.time()?, place: line.place() })
}

/// nginx's own reader of flags writes to the configuration itself; this says the same.
fn flag(line: &Directive<'_>) -> Result<bool, Refusal> {
    match line.arg() {
        word if word.eq_ignore_ascii_case(b"on") => Ok(true),
        word if word.eq_ignore_ascii_case(b"off") => Ok(false),
        _ => Err(line.invalid_word(&["on", "off"])),
    }
}

fn prefix(line: &Directive<'_>) -> Result<Bytes, Refusal> {
    let text = line.arg();
    if text.contains(&b'$') {
        return Err(Refusal::Text("variables are not supported in \"memcache_prefix\"".into()));
    }
    if text.len() > MAX_PREFIX {
        return Err(Refusal::Text(format!("\"memcache_prefix\" must not be longer than {MAX_PREFIX} bytes")));
    }
    Ok(Bytes::copy_from_slice(text))
}

unsafe extern "C" fn set_status(cf: *mut ngx_conf_t, _: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    guard(conf_error(), || {
        // SAFETY: nginx calls the handler of a directive, so `cf` is there until it returns.
        let line = unsafe { Directive::new(cf) };
        let format = match line.args() {
            [] => Some(Format::default()),
            _ => Format::parse(line.arg()),
        };
        let Some(format) = format else { return line.refuse(line.invalid_word(&Format::ALL.map(Format::name))) };
        // SAFETY: `conf` is what `create_loc_conf` made; nothing else refers to it while a line is read.
        let Some(conf) = (unsafe { conf.cast::<LocationConf>().as_mut() }) else { return conf_error() };
        if conf.status.replace(Some(format)).is_some() {
            return line.refuse(Refusal::DUPLICATE);
        }
        // SAFETY: as above; the location that is being read is the current one.
        unsafe { install(cf) };
        // SAFETY: nginx makes the main configuration before it reads the http block.
        if let Some(clusters) = unsafe { Clusters::of_conf(cf) } {
            clusters.status.get_or_insert_with(|| line.place());
        }
        CONF_OK
    })
}

/// Makes the status the handler of the location that is being read.
///
/// # Safety
///
/// `cf` is what nginx passes to the handler of a directive in a location.
unsafe fn install(cf: *mut ngx_conf_t) {
    // SAFETY: in a location, the context is that of the location, with a configuration of nginx's core for it.
    unsafe {
        let ctx = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        if let Some(core) = module::core_conf::<ngx_http_core_loc_conf_t>((*ctx).loc_conf) {
            (*core.as_ptr()).handler = Some(request::handle::<status::Status>);
        }
    }
}

unsafe extern "C" fn set_zone(cf: *mut ngx_conf_t, _: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    guard(conf_error(), || {
        // SAFETY: nginx calls the handler of a directive, so `cf` is there until it returns.
        let line = unsafe { Directive::new(cf) };
        // SAFETY: as above, with the main configuration; nothing else refers to it while a line is read.
        let Some(clusters) = (unsafe { conf.cast::<Clusters>().as_mut() }) else { return conf_error() };
        if clusters.zone.is_some() {
            return line.refuse(Refusal::DUPLICATE);
        }
        // SAFETY: as above.
        let zone = line.zone().and_then(|(name, size)| unsafe { zone::add(&line, name, size, conf.cast()) });
        match zone {
            Ok(zone) => clusters.zone = Some(zone),
            Err(refusal) => return line.refuse(refusal),
        }
        CONF_OK
    })
}

unsafe extern "C" fn set_max_retained(cf: *mut ngx_conf_t, _: *mut ngx_command_t, conf: *mut c_void) -> *mut c_char {
    guard(conf_error(), || {
        // SAFETY: nginx calls the handler of a directive, so `cf` is there until it returns.
        let line = unsafe { Directive::new(cf) };
        // SAFETY: as above, with the main configuration; nothing else refers to it while a line is read.
        let Some(clusters) = (unsafe { conf.cast::<Clusters>().as_mut() }) else { return conf_error() };
        match once(&mut clusters.max_retained, || line.size(1, MAX_RETAINED)) {
            Ok(()) => CONF_OK,
            Err(refusal) => line.refuse(refusal),
        }
    })
}

/* configuration of the blocks */

/// Runs before the http block is read.
pub unsafe extern "C" fn preconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        log_panics();
        // SAFETY: nginx calls this before it reads the block.
        match unsafe { variables::add(cf) } {
            Some(()) => NGX_OK as ngx_int_t,
            None => NGX_ERROR as ngx_int_t,
        }
    })
}

/// Makes the list of clusters, which the server blocks fill. It is the first that nginx calls of the module.
pub unsafe extern "C" fn create_main_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    if let Err(wrong) = memcache_bits::check() {
        // SAFETY: nginx passes a configuration with its log.
        if let Some(log) = unsafe { Log::new((*cf).log) } {
            log.emerg(format_args!("ngx_http_memcache_module: {wrong}"));
        }
        return null_mut();
    }
    // SAFETY: nginx passes a configuration with its pool.
    guard(null_mut(), || unsafe { create::<Clusters>(cf) })
}

/// Makes the empty configuration of a block.
pub unsafe extern "C" fn create_srv_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx passes a configuration with its pool.
    guard(null_mut(), || unsafe { create::<ServerConf>(cf) })
}

/// Makes the empty configuration of a location.
pub unsafe extern "C" fn create_loc_conf(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: nginx passes a configuration with its pool.
    guard(null_mut(), || unsafe { create::<LocationConf>(cf) })
}

/// # Safety
///
/// `cf` has its pool, which lives as long as the configuration and drops the value.
unsafe fn create<T: Default>(cf: *mut ngx_conf_t) -> *mut c_void {
    // SAFETY: by the contract.
    unsafe { pool::place((*cf).pool, T::default()) }.map_or(null_mut(), |place| place.as_ptr().cast())
}

/// An `if` in a location has the handler of the location, and so needs its format.
pub unsafe extern "C" fn merge_loc_conf(_: *mut ngx_conf_t, outer: *mut c_void, inner: *mut c_void) -> *mut c_char {
    guard(conf_error(), || {
        // SAFETY: both were made by `create_loc_conf`, are different, and live as long as the configuration.
        let (Some(outer), Some(inner)) =
            (unsafe { (outer.cast::<LocationConf>().as_ref(), inner.cast::<LocationConf>().as_mut()) })
        else {
            return conf_error();
        };
        inner.status.set(inner.status.get().or(outer.status.get()));
        CONF_OK
    })
}

/// Completes the settings of a server block and finds its cluster.
pub unsafe extern "C" fn merge_srv_conf(cf: *mut ngx_conf_t, outer: *mut c_void, inner: *mut c_void) -> *mut c_char {
    guard(conf_error(), || {
        // SAFETY: both were made by `create_srv_conf`, are different, and live as long as the configuration.
        let (Some(outer), Some(inner)) =
            (unsafe { (outer.cast::<ServerConf>().as_ref(), inner.cast::<ServerConf>().as_mut()) })
        else {
            return conf_error();
        };
        inner.settings.inherit(&outer.settings);
        let (config, addresses) = match inner.settings.config() {
            Ok(Some(complete)) => complete,
            Ok(None) => {
                // SAFETY: the main configuration is there while the blocks are merged.
                if let Some(clusters) = unsafe { Clusters::of_conf(cf) } {
                    clusters.blocks_without = clusters.blocks_without.saturating_add(1);
                }
                return CONF_OK;
            }
            // SAFETY: nginx passes the configuration that it has just read.
            Err(refusal) => return unsafe { Directive::new(cf) }.refuse(refusal),
        };

        // SAFETY: the main configuration is there while the blocks are merged.
        let Some(clusters) = (unsafe { Clusters::of_conf(cf) }) else { return conf_error() };
        let known = clusters.list.len();
        // SAFETY: the pool is that of the configuration, which the clusters belong to.
        inner.cluster = unsafe { clusters.share(config, addresses, false, (*cf).pool) };
        let Some(cluster) = inner.cluster else { return conf_error() };
        // SAFETY: it lives as long as the configuration; the context is that of the server block.
        let cluster = unsafe { cluster.as_ref() };
        // SAFETY: as above.
        cluster.used_by(unsafe { server_name(cf) });
        // Of blocks that share a client, one is enough.
        // SAFETY: nginx merges a configuration with a log.
        if let Some(log) = unsafe { Log::new((*cf).log) }.filter(|_| clusters.list.len() > known) {
            check::doubt(&inner.settings, &cluster.config, log);
        }
        CONF_OK
    })
}

/// The first `server_name` of a block.
///
/// # Safety
///
/// nginx is merging the block, and has read it.
unsafe fn server_name<'a>(cf: *mut ngx_conf_t) -> &'a [u8] {
    // SAFETY: by the contract, the context has the configuration of nginx's core for the block, which comes first.
    unsafe {
        let ctx = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        let index = addr_of!(ngx_http_core_module.ctx_index).read();
        let core = (*(*ctx).srv_conf.add(index)).cast::<ngx_http_core_srv_conf_t>();
        core.as_ref().map_or(&[], |core| core.server_name.as_bytes())
    }
}

/// Checks what can only be checked when all server blocks are known.
pub unsafe extern "C" fn postconfiguration(cf: *mut ngx_conf_t) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx calls this with the configuration that it has just read.
        let (Some(clusters), Some(log)) = (unsafe { (Clusters::of_conf(cf), Log::new((*cf).log)) }) else {
            return NGX_ERROR as ngx_int_t;
        };
        // SAFETY: as above, the context is that of the http block.
        let outer =
            unsafe { (*cf).ctx.cast::<ngx_http_conf_ctx_t>().as_ref().and_then(|ctx| ServerConf::of_context(ctx)) };
        if !check::check(clusters, outer, log) {
            return NGX_ERROR as ngx_int_t;
        }
        // SAFETY: as above.
        unsafe {
            set_outer_cluster(cf, clusters);
            abi::watch_ends(cf).map_or(NGX_ERROR, |()| NGX_OK as i32) as ngx_int_t
        }
    })
}

/// The cluster of the http block itself, for siblings that belong to no server block: what a server block has that says
/// nothing of its own. Settings that contradict each other are no error here, where each server block may correct them.
///
/// # Safety
///
/// `cf` is what nginx passes to `postconfiguration`, and `clusters` the main configuration in it.
unsafe fn set_outer_cluster(cf: *mut ngx_conf_t, clusters: &mut Clusters) {
    // SAFETY: by the contract, the context is that of the http block, whose `ServerConf` was made by `create_srv_conf`;
    // nothing else refers to it now.
    let conf = unsafe { (*cf).ctx.cast::<ngx_http_conf_ctx_t>().as_ref().and_then(|ctx| ServerConf::of_context(ctx)) };
    let Some(mut conf) = conf else { return };
    // SAFETY: as above.
    let conf = unsafe { conf.as_mut() };
    if let Ok(Some((config, addresses))) = conf.settings.config() {
        // SAFETY: the pool is that of the configuration, which the clusters belong to.
        conf.cluster = unsafe { clusters.share(config, addresses, true, (*cf).pool) };
    }
}

/// Runs when the whole file was read, also under `nginx -t`: only here is `worker_connections` known, whatever the
/// order of the blocks.
///
/// Every worker may come to hold all connections that the pools allow. If that is all it may open, it could not serve
/// anybody: an error. If it is more than half, a busy worker is likely to run out: a warning.
pub unsafe extern "C" fn init_module(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard(NGX_ERROR as ngx_int_t, || {
        // SAFETY: nginx passes the cycle that it has just made.
        let (clusters, log, limit) =
            unsafe { (Clusters::of_cycle(cycle), Log::new((*cycle).log), (*cycle).connection_n) };
        let (Some(clusters), Some(log)) = (clusters, log) else { return NGX_OK as ngx_int_t };
        // SAFETY: nginx frees the cycle before this one, and its log, after `init_module`.
        let reading = unsafe { (*cycle).old_cycle.as_ref().and_then(|old| Log::new(old.log)) };
        worker::count_generation();
        let need = clusters.connections();
        let text = format!("memcache pools need {need} connections, worker_connections is {limit}");
        if need > 0 && need >= limit {
            log.emerg(format_args!("{text}"));
            return NGX_ERROR as ngx_int_t;
        }
        if need > limit / 2 {
            // Where nginx warns of what it reads: the new log has the level that `error_log` says, by default "error".
            reading.unwrap_or(log).warn(format_args!("{text}"));
        }
        NGX_OK as ngx_int_t
    })
}
