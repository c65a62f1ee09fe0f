//! Names that a worker follows by nginx's `resolver`.
//!
//! A name is looked up at once, again when the answer has expired, and after a failure again and again, with pauses that grow.
//! nginx asks for both families and follows CNAMEs. Neither a lookup under way nor a timer keeps a worker from its exit.

#![allow(unsafe_code)]

use core::cell::{Cell, RefCell};
use core::ffi::CStr;
use core::ptr::{self, NonNull};
use core::slice;
use std::rc::{Rc, Weak};

use nginx_sys::{
    ngx_http_core_loc_conf_t, ngx_msec_t, ngx_resolve_name, ngx_resolve_name_done, ngx_resolve_start,
    ngx_resolver_ctx_t, ngx_resolver_strerror, ngx_resolver_t, ngx_str_t, NGX_OK,
};

use super::address::{Address, Addresses};
use super::clock;
use super::conf::Conf;
use super::event::Event;
use super::guard::guard;
use super::log::Log;
use super::pool;

/// nginx's default of `resolver_timeout`, and its value where none was given, in milliseconds.
const TIMEOUT: ngx_msec_t = 30_000;
const UNSET: ngx_msec_t = ngx_msec_t::MAX;
/// The first pause after a failure. It doubles up to `resolver_timeout`.
const PAUSE: ngx_msec_t = 1_000;
const MAX_DOUBLINGS: u32 = 10;

/// A `resolver` of the configuration, with its `resolver_timeout`.
#[derive(Clone)]
pub struct Resolver(Rc<Inner>);

struct Inner {
    /// `None`: it has gone, with the pool of its configuration.
    resolver: Cell<Option<NonNull<ngx_resolver_t>>>,
    timeout: ngx_msec_t,
    /// What may have a lookup under way.
    names: RefCell<Vec<Weak<Lookup>>>,
}

/// The part of a resolver in the pool of its configuration.
struct InPool(Rc<Inner>);

impl PartialEq for Resolver {
    /// Whether it is the same `resolver`.
    fn eq(&self, other: &Resolver) -> bool {
        self.0.resolver.get() == other.0.resolver.get() && self.0.timeout == other.0.timeout
    }
}

impl Resolver {
    /// That of the server block that is being merged; `None`: it has none.
    pub fn of_server(conf: &Conf<'_>) -> Option<Resolver> {
        Resolver::of(conf, conf.core_of_server()?)
    }

    /// That of the http block, in a hook of it; `None`: it has none.
    pub fn of_http(conf: &Conf<'_>) -> Option<Resolver> {
        Resolver::of(conf, conf.core_of_http()?)
    }

    fn of(conf: &Conf<'_>, core: NonNull<ngx_http_core_loc_conf_t>) -> Option<Resolver> {
        // SAFETY: nginx's part of a block of the configuration that is being read. The core is the first module of HTTP, and
        // has made its resolvers. A block without any has an empty one, or none.
        let (resolver, timeout) = unsafe {
            let core = core.as_ref();
            (
                NonNull::new(core.resolver).filter(|resolver| resolver.as_ref().connections.nelts > 0)?,
                core.resolver_timeout,
            )
        };
        let timeout = if timeout == UNSET { TIMEOUT } else { timeout };
        let inner = Rc::new(Inner { resolver: Cell::new(Some(resolver)), timeout, names: RefCell::default() });
        // A pool drops first what came last. So this goes before the resolver, which frees all of its lookups.
        // SAFETY: the pool of the configuration. What the value's drop uses goes after it.
        unsafe { pool::place((*conf.as_ptr()).pool, InPool(inner.clone()))? };
        Some(Resolver(inner))
    }
}

impl Drop for InPool {
    fn drop(&mut self) {
        let names = self.0.names.take();
        names.iter().filter_map(Weak::upgrade).for_each(|name| name.stop());
        self.0.resolver.set(None);
    }
}

/// What a lookup has found, or why it has failed.
pub type Found = Result<Addresses, String>;

/// A name that is followed until this is dropped, which no function that gets an answer may do.
pub struct Name(Rc<Lookup>);

struct Lookup {
    this: Weak<Lookup>,
    resolver: Resolver,
    /// nginx writes it in lower case.
    host: Box<[Cell<u8>]>,
    port: u16,
    tell: Box<dyn Fn(Found)>,
    timer: Event<Lookup>,
    /// What is under way, or NULL. While it is not NULL, nginx has a pointer to this value.
    ctx: Cell<*mut ngx_resolver_ctx_t>,
    /// Failures since it was found last.
    failures: Cell<u32>,
}

impl Name {
    /// Follows a name. `tell` is called with each answer, on the event loop, while nothing is borrowed; not before this
    /// returns.
    pub fn follow(
        resolver: &Resolver,
        (host, port): (&[u8], u16),
        log: Log<'static>,
        tell: impl Fn(Found) + 'static,
    ) -> Name {
        let lookup = Rc::new_cyclic(|this: &Weak<Lookup>| Lookup {
            this: this.clone(),
            resolver: resolver.clone(),
            host: host.iter().copied().map(Cell::new).collect(),
            port,
            tell: Box::new(tell),
            timer: Event::new(this.clone(), Lookup::begin, log),
            ctx: Cell::new(ptr::null_mut()),
            failures: Cell::default(),
        });
        let mut names = resolver.0.names.borrow_mut();
        names.retain(|name| name.strong_count() > 0);
        names.push(Rc::downgrade(&lookup));
        lookup.timer.set_cancelable(true);
        lookup.timer.post_next();
        Name(lookup)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Lookup {
    fn begin(&self) {
        let Some(resolver) = self.resolver.0.resolver.get().filter(|_| self.ctx.get().is_null()) else { return };
        // SAFETY: the resolver is there, and has name servers.
        let ctx = unsafe { ngx_resolve_start(resolver.as_ptr(), ptr::null_mut()) };
        // nginx has -1 for no name servers.
        if ctx.is_null() || ctx.addr() == usize::MAX {
            return self.failed("no memory".into());
        }
        // SAFETY: the lookup is ours until it is answered, is given up, or cannot begin. This value outlives it: see `stop`.
        // So does `host`, which nobody reads here.
        let rc = unsafe {
            (*ctx).name = ngx_str_t { len: self.host.len(), data: self.host.as_ptr().cast_mut().cast() };
            (*ctx).handler = Some(on_answer);
            (*ctx).data = ptr::from_ref(self).cast_mut().cast();
            (*ctx).timeout = self.resolver.0.timeout;
            (*ctx).set_cancelable(1);
            self.ctx.set(ctx);
            // It may call the handler at once.
            ngx_resolve_name(ctx)
        };
        if rc != NGX_OK as isize {
            // nginx has freed it.
            self.ctx.set(ptr::null_mut());
            self.failed("the lookup cannot begin".into());
        }
    }

    /// Gives up what is under way, and asks no more.
    fn stop(&self) {
        self.timer.delete();
        let ctx = self.ctx.replace(ptr::null_mut());
        if !ctx.is_null() {
            // SAFETY: nginx has it, and has not answered it.
            unsafe { ngx_resolve_name_done(ctx) };
        }
    }

    /// There is an answer, which expires at this time, in seconds.
    fn found(&self, addresses: Addresses, valid: i64) {
        self.failures.set(0);
        // nginx answers from memory up to and including that second.
        let left = valid.saturating_sub(clock::nginx_seconds()).max(0).saturating_add(1);
        self.ask_in(ngx_msec_t::try_from(left).unwrap_or(1).saturating_mul(1000));
        (self.tell)(Ok(addresses));
    }

    fn failed(&self, why: String) {
        let failures = self.failures.get();
        self.failures.set(failures.saturating_add(1));
        let pause = PAUSE << failures.min(MAX_DOUBLINGS);
        self.ask_in(pause.min(self.resolver.0.timeout.max(PAUSE)));
        (self.tell)(Err(why));
    }

    fn ask_in(&self, pause: ngx_msec_t) {
        self.timer.set_timer(pause);
    }
}

unsafe extern "C" fn on_answer(ctx: *mut ngx_resolver_ctx_t) {
    guard((), || {
        // SAFETY: nginx passes the lookup that `begin` has started and that `stop` has not given up, so its owner is there.
        let Some(lookup) = (unsafe { (*ctx).data.cast::<Lookup>().as_ref() }).and_then(|lookup| lookup.this.upgrade())
        else {
            return;
        };
        lookup.ctx.set(ptr::null_mut());
        // SAFETY: nginx has filled it: `naddrs` addresses, which it frees after this, unless `state` says why there are none.
        // With `done`, the lookup itself goes.
        let (answer, valid) = unsafe {
            let answer = match (*ctx).state {
                0 if (*ctx).naddrs > 0 => {
                    let list = slice::from_raw_parts((*ctx).addrs, (*ctx).naddrs);
                    let list = list.iter().filter_map(|address| Address::of_resolver(address, lookup.port));
                    Ok(Addresses::of(list.collect()))
                }
                state => {
                    let text = CStr::from_ptr(ngx_resolver_strerror(state));
                    Err(format!("{state}: {}", text.to_string_lossy()))
                }
            };
            let valid = (*ctx).valid;
            ngx_resolve_name_done(ctx);
            (answer, valid)
        };
        match answer {
            Ok(addresses) => lookup.found(addresses, valid),
            Err(why) => lookup.failed(why),
        }
    });
}
