//! The runtime of this worker.

use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads for tasks. Long work has other threads, see [`tokio::task::spawn_blocking`].
const THREADS: usize = 1;

/// Threads for long work: so many computations run at the same time.
const BLOCKING_THREADS: usize = 4;

/// How long an exiting worker waits for running work.
const PATIENCE: Duration = Duration::from_millis(500);

thread_local! {
    /// On the event loop's thread.
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// Starts it. Not before the worker runs: threads do not survive a fork.
pub fn start() -> io::Result<Handle> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("memcache_digest")
        .on_thread_start(block_signals)
        .enable_time()
        .build()?;
    let handle = runtime.handle().clone();
    RUNTIME.set(Some(runtime));
    Ok(handle)
}

/// Where to spawn tasks; `None`: it has not started, or has ended.
pub fn handle() -> Option<Handle> {
    RUNTIME.with_borrow(|runtime| runtime.as_ref().map(|runtime| runtime.handle().clone()))
}

/// Ends it: tasks are dropped where they wait.
pub fn stop() {
    if let Some(runtime) = RUNTIME.take() {
        runtime.shutdown_timeout(PATIENCE);
    }
}

/// Blocks signals in these threads, as nginx's own threads do: a signal must wake the event loop.
fn block_signals() {
    let mut signals = MaybeUninit::uninit();
    // SAFETY: sigfillset() fills the set, which is used after that; a mask is set for this thread alone.
    unsafe {
        libc::sigfillset(signals.as_mut_ptr());
        for fault in [libc::SIGILL, libc::SIGFPE, libc::SIGSEGV, libc::SIGBUS] {
            libc::sigdelset(signals.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, signals.as_ptr(), std::ptr::null_mut());
    }
}
