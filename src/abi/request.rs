//! Binds calls to their request, and detects the end of a request.
//!
//! nginx ends a main request in this order (`ngx_http_free_request()`): the handlers of its http cleanups run, then the
//! handlers of the log phase. Then `r->pool` becomes NULL and the pool is destroyed: the handlers of its own cleanups run,
//! and the memory is freed, including that of the request. If the client goes away, the http cleanups run earlier. No field
//! of the request shows how far this is: `count` stays 1 if the connection is kept. So:
//!
//! - The first call that is bound to a request makes an [`Owner`] in its pool. The owner ends the calls twice: in an http
//!   cleanup, in time for the access log, and in a cleanup of the pool, for calls that were bound in between. An owner that
//!   has ended accepts no more calls.
//! - A handler of the log phase, which runs before all others, marks requests that have no owner by then.
//!
//! **Invariant:** no call refers to a request whose memory was freed, whenever and wherever it was bound. The cleanup of the
//! pool alone ensures that. The other steps refuse early, with the same error however the request ends.

#![allow(unsafe_code)]

use core::cell::Cell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};

use nginx_sys::{
    ngx_array_push, ngx_http_cleanup_t, ngx_http_conf_ctx_t, ngx_http_core_main_conf_t, ngx_http_handler_pt,
    ngx_http_phases_NGX_HTTP_LOG_PHASE, ngx_http_request_t, ngx_int_t, ngx_palloc, ngx_pool_cleanup_t, NGX_ALIGNMENT,
    NGX_HTTP_MODULE, NGX_OK,
};

use super::binding::{Binding, Calls, Unbound};
use super::link::Link;
use super::stats::RequestStats;
use crate::nginx::conf::HttpBlock;
use crate::nginx::guard::guard;
use crate::nginx::module;
use crate::nginx::request::Request;

/// How many links of a request are searched for a free one.
const LOOK_FOR_SPARE: usize = 16;

/// A main request that calls are bound to. It lives in the request's pool.
pub struct Owner {
    stats: RequestStats,
    /// All of them, including free ones.
    links: Cell<Option<NonNull<Link>>>,
    /// One of them: most requests need no other.
    first: Link,
    /// It accepts no more calls.
    ended: Cell<bool>,
    /// It has no calls, either.
    is_over: Cell<bool>,
}

/// What the pool has of an owner: one allocation, with the cleanups that end it.
struct Owned {
    early: ngx_http_cleanup_t,
    late: ngx_pool_cleanup_t,
    owner: Owner,
}

/// The context of a request that has ended without an owner points to this.
static ENDED: u8 = 0;

/// A link of a request for a call that is about to be submitted.
///
/// # Safety
///
/// `request` points to a request or to nothing that looks like one.
pub unsafe fn bind(
    request: *mut ngx_http_request_t,
    calls: &(dyn Calls + 'static),
    binding: Binding,
) -> Result<NonNull<Link>, Unbound> {
    // SAFETY: by the contract. Subrequests are there as long as their main one.
    let link = unsafe {
        let main = main_of(request)?;
        let owner = Owner::of(main)?;
        owner.spare().map_or_else(|| owner.link(main), Some).ok_or(Unbound::NoMemory)?
    };
    link.take(calls, binding);
    Ok(link.into())
}

/// Whether calls may still be bound to a request.
///
/// # Safety
///
/// As for [`bind`].
pub unsafe fn check(request: *mut ngx_http_request_t) -> Result<(), Unbound> {
    // SAFETY: by the contract; the context of a subrequest that was logged is marked, too.
    unsafe {
        let main = main_of(request)?;
        match find(main) {
            Some(owner) if owner.ended.get() => Err(Unbound::NotARequest),
            _ if is_marked(context(main)) || is_marked(context(request)) => Err(Unbound::NotARequest),
            _ => Ok(()),
        }
    }
}

/// The operations of a main request and its subrequests, if there were any.
pub fn stats_of(request: Request<'_>) -> Option<&RequestStats> {
    // SAFETY: the request is there, its main one too; the owner is in the memory of that.
    unsafe { find((*request.as_ptr()).main).map(|owner| &owner.stats) }
}

/// The main request, if the fields of the request do not show that it is being freed.
///
/// # Safety
///
/// As for [`bind`].
unsafe fn main_of(request: *mut ngx_http_request_t) -> Result<*mut ngx_http_request_t, Unbound> {
    // SAFETY: by the contract, and after the check of the signature, requests are there as long as their main one.
    unsafe {
        if (*request).signature != NGX_HTTP_MODULE {
            return Err(Unbound::NotARequest);
        }
        let main = (*request).main;
        if main.is_null() || (*main).pool.is_null() || memcache_bits::request::count(&*main) == 0 {
            return Err(Unbound::NotARequest);
        }
        Ok(main)
    }
}

/// What the module has noted in a request.
///
/// # Safety
///
/// The request's memory is there, for as long as this is used.
unsafe fn context<'a>(request: *mut ngx_http_request_t) -> Option<&'a Cell<*mut c_void>> {
    // SAFETY: by the contract; a request has a context for each module, which only this thread uses.
    unsafe { (*request).ctx.add(module::ctx_index()?).cast::<Cell<*mut c_void>>().as_ref() }
}

fn is_marked(context: Option<&Cell<*mut c_void>>) -> bool {
    context.is_some_and(|context| ptr::eq(context.get().cast(), &raw const ENDED))
}

/// The owner of a main request, if it has one. An internal redirect clears the context; the pool still knows.
///
/// # Safety
///
/// The main request's memory is there, for as long as the owner is used.
unsafe fn find<'a>(main: *mut ngx_http_request_t) -> Option<&'a Owner> {
    // SAFETY: by the contract; the context is ours, and cleanups with our handler are, too.
    unsafe {
        let context = context(main).filter(|&context| !is_marked(Some(context)));
        let owner = context.and_then(|context| context.get().cast::<Owner>().as_ref());
        if owner.is_some() || (*main).pool.is_null() {
            return owner;
        }
        let mut cleanup = (*(*main).pool).cleanup;
        while let Some(record) = cleanup.as_ref() {
            if record.handler.is_some_and(|handler| ptr::fn_addr_eq(handler, on_pool_end as Cleanup)) {
                return record.data.cast::<Owner>().as_ref();
            }
            cleanup = record.next;
        }
        None
    }
}

impl Owner {
    /// The owner of a main request, a new one if it has none.
    ///
    /// # Safety
    ///
    /// The main request and its pool are there, for as long as the owner is used.
    unsafe fn of<'a>(main: *mut ngx_http_request_t) -> Result<&'a Owner, Unbound> {
        // SAFETY: by the contract.
        let (context, owner) = unsafe { (context(main), find(main)) };
        let owner = match owner {
            Some(owner) => owner,
            None if is_marked(context) => return Err(Unbound::NotARequest),
            // SAFETY: by the contract.
            None => unsafe { Owner::create(main) }.ok_or(Unbound::NoMemory)?,
        };
        if owner.ended.get() {
            return Err(Unbound::NotARequest);
        }
        if let Some(context) = context {
            context.set(ptr::from_ref(owner).cast_mut().cast());
        }
        Ok(owner)
    }

    /// # Safety
    ///
    /// As for [`Owner::of`].
    unsafe fn create<'a>(main: *mut ngx_http_request_t) -> Option<&'a Owner> {
        const { assert!(align_of::<Owned>() <= NGX_ALIGNMENT, "pools do not align to more than this") };

        // SAFETY: by the contract. An owner needs no `Drop`. `ngx_http_cleanup_add()` and `ngx_pool_cleanup_add()` put cleanups
        // into the same lists, each in an allocation of its own.
        unsafe {
            let pool = (*main).pool;
            let owned = ngx_palloc(pool, size_of::<Owned>()).cast::<Owned>();
            if owned.is_null() {
                return None;
            }
            let owner = NonNull::new(&raw mut (*owned).owner)?;
            let stats = NonNull::new(&raw mut (*owned).owner.stats)?;
            let data = owner.as_ptr().cast();
            owned.write(Owned {
                early: ngx_http_cleanup_t { handler: Some(on_request_end), data, next: (*main).cleanup },
                late: ngx_pool_cleanup_t { handler: Some(on_pool_end), data, next: (*pool).cleanup },
                owner: Owner {
                    stats: RequestStats::new(),
                    links: Cell::new(None),
                    first: Link::new(stats, None),
                    ended: Cell::new(false),
                    is_over: Cell::new(false),
                },
            });
            owner.as_ref().links.set(NonNull::new(&raw mut (*owner.as_ptr()).first));
            (*main).cleanup = &raw mut (*owned).early;
            (*pool).cleanup = &raw mut (*owned).late;
            Some(owner.as_ref())
        }
    }

    fn all(&self) -> impl Iterator<Item = &Link> {
        let mut next = self.links.get();
        core::iter::from_fn(move || {
            // SAFETY: links are in the pool that their owner is in, and stay there as long.
            let link: &Link = unsafe { next?.as_ref() };
            next = link.next();
            Some(link)
        })
    }

    /// A link that is free again, so that a long request with many operations does not grow.
    fn spare(&self) -> Option<&Link> {
        self.all().take(LOOK_FOR_SPARE).find(|link| link.is_free())
    }

    /// A new link.
    ///
    /// # Safety
    ///
    /// The main request is the owner's, and is there.
    unsafe fn link(&self, main: *mut ngx_http_request_t) -> Option<&Link> {
        // SAFETY: by the contract; memory of a pool is aligned for numbers and pointers.
        unsafe {
            let link = NonNull::new(ngx_palloc((*main).pool, size_of::<Link>()).cast::<Link>())?;
            link.write(Link::new((&self.stats).into(), self.links.get()));
            self.links.set(Some(link));
            Some(link.as_ref())
        }
    }

    /// The request ends: its calls are cancelled or unbound.
    fn end(&self) {
        if self.is_over.get() {
            return;
        }
        self.ended.set(true);
        self.all().for_each(Link::end);
        self.is_over.set(true);
    }
}

type Cleanup = unsafe extern "C" fn(*mut c_void);

/// The http cleanup of a request that calls are bound to.
unsafe extern "C" fn on_request_end(data: *mut c_void) {
    guard((), || {
        // SAFETY: nginx calls this with what `create` put there, while the request is.
        if let Some(owner) = unsafe { data.cast::<Owner>().as_ref() } {
            owner.end();
        }
    });
}

/// The cleanup of its pool. It is another function, as it also tells which cleanup of a pool is ours.
unsafe extern "C" fn on_pool_end(data: *mut c_void) {
    guard((), || {
        // SAFETY: as above; the pool's memory is freed after this.
        if let Some(owner) = unsafe { data.cast::<Owner>().as_ref() } {
            owner.end();
        }
    });
}

/// The handler of the log phase: from here on a main request is being freed. A subrequest is logged when it is done.
unsafe extern "C" fn on_log(r: *mut ngx_http_request_t) -> ngx_int_t {
    guard(NGX_OK as ngx_int_t, || {
        // SAFETY: nginx logs a request that is there, its main one too.
        unsafe {
            match find((*r).main) {
                Some(owner) if ptr::eq(r, (*r).main) => owner.end(),
                _ => drop(context(r).map(|context| context.set((&raw const ENDED).cast_mut().cast()))),
            }
        }
        NGX_OK as ngx_int_t
    })
}

/// Has nginx call the handler of the log phase before those of all other modules. `None`: there is no memory.
pub fn watch_ends(http: &HttpBlock<'_>) -> Option<()> {
    // SAFETY: the context is that of the http block, with the configuration of nginx's core, which nobody refers to now.
    unsafe {
        let ctx = (*http.as_ptr()).ctx.cast::<ngx_http_conf_ctx_t>();
        let core = module::core_conf::<ngx_http_core_main_conf_t>((*ctx).main_conf)?.as_ptr();
        let phase = (*core).phases.get_mut(ngx_http_phases_NGX_HTTP_LOG_PHASE as usize)?;
        let handlers = &raw mut phase.handlers;
        if ngx_array_push(handlers).is_null() {
            return None;
        }
        let first = (*handlers).elts.cast::<ngx_http_handler_pt>();
        // The others move up by one place, which there is now.
        ptr::copy(first, first.add(1), (*handlers).nelts.saturating_sub(1));
        first.write(Some(on_log));
    }
    Some(())
}
