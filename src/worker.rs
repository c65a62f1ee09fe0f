//! When a worker starts and ends, and who may call.

#![allow(unsafe_code)]

use core::ptr::addr_of;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use nginx_sys::{
    ngx_cycle, ngx_cycle_t, ngx_int_t, ngx_process, ngx_uint_t, pthread_self, NGX_OK, NGX_PROCESS_SINGLE,
    NGX_PROCESS_WORKER,
};

use crate::cluster::Clusters;
use crate::nginx::guard::guard;
use crate::nginx::log::Log;

/// There are no clients here: no worker, or no configuration yet.
#[derive(Clone, Copy, Debug)]
pub struct NotAvailable;

/// The thread that this process' event loop runs on; 0 until the first use, and no thread's number in what a worker
/// forked. Not of a cycle, so it may be a static.
static EVENT_LOOP: AtomicUsize = AtomicUsize::new(0);

/// How many configurations this nginx has read. The master counts, and workers are copies of it.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Counts a configuration that was read.
pub fn count_generation() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Which configuration, of those that this nginx has read, is this worker's.
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Opens the clients' first connections. A memcached that is down does not keep a worker from starting.
pub unsafe extern "C" fn init_process(cycle: *mut ngx_cycle_t) -> ngx_int_t {
    guard((), || {
        if check_process().is_err() || !on_event_loop() {
            return;
        }
        // SAFETY: nginx passes the worker's cycle, which lives as long as the worker.
        let Some(clusters) = (unsafe { Clusters::of_cycle(cycle) }) else { return };
        for cluster in clusters.iter().filter(|cluster| !cluster.on_demand) {
            if cluster.driver().is_err() {
                // SAFETY: as above.
                if let Some(log) = unsafe { Log::new((*cycle).log) } {
                    log.alert(format_args!("memcache: no client in this worker"));
                }
            }
        }
    });
    NGX_OK as ngx_int_t
}

/// Closes all sockets. No handler of a sibling runs: its module may have ended before.
pub unsafe extern "C" fn exit_process(cycle: *mut ngx_cycle_t) {
    guard((), || {
        // SAFETY: as in `init_process`.
        let Some(clusters) = (unsafe { Clusters::of_cycle(cycle) }) else { return };
        clusters.iter().filter_map(|cluster| cluster.running()).for_each(|driver| driver.shut_down());
        if let Some(zone) = &clusters.zone {
            zone.leave(clusters);
        }
    });
}

/// Only workers have clients; the cache manager and loader run `init_process` as well. During the first configuration
/// the kind of the process is not known yet, but there is no cycle then.
pub fn check_process() -> Result<(), NotAvailable> {
    const WORKER: ngx_uint_t = NGX_PROCESS_WORKER as ngx_uint_t;
    const SINGLE: ngx_uint_t = NGX_PROCESS_SINGLE as ngx_uint_t;

    // SAFETY: nginx writes it before it starts the event loop, and nobody does afterwards.
    match unsafe { addr_of!(ngx_process).read() } {
        WORKER | SINGLE => Ok(()),
        _ => Err(NotAvailable),
    }
}

/// Whether this is the thread of the event loop. The first to ask is on it: workers start with `init_process`, ours or
/// a sibling's, before other threads have work.
pub fn on_event_loop() -> bool {
    // SAFETY: always succeeds, and has no preconditions.
    let this = unsafe { pthread_self() } as usize;
    match EVENT_LOOP.load(Ordering::Relaxed) {
        0 => claim(this),
        event_loop => event_loop == this,
    }
}

/// This thread is the event loop's from now on. A child that a worker forks has none: it would write to the worker's
/// sockets.
fn claim(this: usize) -> bool {
    if EVENT_LOOP.compare_exchange(0, this, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return false;
    }
    // SAFETY: the function may be called in any child, as it only stores a number, and is never unmapped: the module
    // is linked with `-z nodelete`. Where there is no memory for it, the child is not told from its worker.
    unsafe { pthread_atfork(None, None, Some(forget_event_loop)) };
    true
}

unsafe extern "C" fn forget_event_loop() {
    EVENT_LOOP.store(usize::MAX, Ordering::Relaxed);
}

extern "C" {
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> core::ffi::c_int;
}

/// The clusters of the worker's configuration.
pub fn clusters<'a>() -> Result<&'a Clusters, NotAvailable> {
    check_process()?;
    // SAFETY: `ngx_cycle` is always a cycle that is there; the worker's own lives as long as the worker, and the
    // callers keep the borrow no longer than a call.
    unsafe { Clusters::of_cycle(addr_of!(ngx_cycle).read()) }.ok_or(NotAvailable)
}
