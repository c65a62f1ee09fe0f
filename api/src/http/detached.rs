//! Futures that belong to the worker.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::ffi::c_void;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::ptr;
#[cfg(feature = "tokio")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use ngx::ffi::{ngx_cycle, ngx_delete_posted_event, ngx_event_t, pthread_t};

use crate::error::Error;
use crate::event_loop;
use crate::event_loop::log;
#[cfg(feature = "tokio")]
use crate::event_loop::notify;
use crate::event_loop::panic::{caught, contain};
use crate::event_loop::turn::{self, Kind, When};

/// Detached futures that a sibling may have at the same time in a worker; one more is refused with
/// [`Error::Busy`].
pub const MAX_DETACHED: usize = 16_384;

/// Runs a future that belongs to no request: for what a request starts and does not wait for, and for handlers of the
/// **log phase**, where the request is about to be freed.
///
/// It is polled at once, or in the next turn of the event loop where one begins another and that another, and dropped
/// when it has ended. If it panics, that is logged, and it is dropped.
///
/// A worker that **exits** (reload, quit) waits for the operations that are under way, but for nothing else. A
/// [`sleep`](super::sleep) is over when the worker is told to exit, whatever is left of it, so that what waits behind
/// it is done; one that begins after that does not keep the worker. What is still not done when nothing else is under
/// way is dropped. So a loop that sleeps goes round once more and ends; one that does not sleep has to ask
/// [`exiting`](super::exiting), or it keeps the worker until `worker_shutdown_timeout`.
///
/// The future owns what it uses: take what you need out of the request before. A [`Client`](crate::Client) of the
/// request can be used: it lasts as long as the worker.
///
/// ```no_run
/// use ngx::core::Status;
/// use ngx::http::Request;
/// use ngx_memcache::{http, Client, Error};
///
/// /// A handler of the log phase.
/// fn count(request: &mut Request) -> Status {
///     let Ok(mc) = Client::from_request(request) else { return Status::NGX_OK };
///     let key = format!("status:{}", request.as_ref().headers_out.status);
///     // Under a load that memcached cannot bear, some requests are not counted.
///     let _ = http::spawn_detached(async move {
///         let _ = mc.incr(key, 1).initial(1).await;
///     });
///     Status::NGX_OK
/// }
/// ```
///
/// A heartbeat of each worker, from the first request on:
///
/// ```no_run
/// # use std::cell::Cell;
/// # use std::time::Duration;
/// # use ngx::http::Request;
/// # use ngx_memcache::{http, Client, Error, Seconds};
/// thread_local! { static BEATS: Cell<bool> = const { Cell::new(false) }; }
///
/// fn beat(request: &Request) -> Result<(), Error> {
///     let mc = Client::from_request(request)?;
///     if BEATS.replace(true) {
///         return Ok(());
///     }
///     http::spawn_detached(async move {
///         let key = format!("worker:{}", std::process::id());
///         while !http::exiting() {
///             let _ = mc.set(&key, "alive").ttl(30.secs()).await;
///             http::sleep(Duration::from_secs(10)).await;
///         }
///         let _ = mc.delete(&key).await;
///     })
/// }
/// ```
///
/// Fails, and drops the future, with [`Error::Busy`] if there are [`MAX_DETACHED`] already, and with
/// [`Error::WrongThread`] anywhere but on the event loop of a worker, which is where handlers are called; outside of a
/// request, [`Client::from_request`](crate::Client::from_request) or the like must have succeeded there before.
pub fn spawn_detached(future: impl Future<Output = ()> + 'static) -> Result<(), Error> {
    if !event_loop::is_here() {
        return Err(Error::WrongThread);
    }
    let task = Detached::new(Box::pin(future))?;
    match turn::may_nest() {
        true => task.run(),
        // SAFETY: this is the event loop's thread, and TASKS keeps the task and its event alive.
        false => unsafe { turn::post(task.event.get(), When::Later) },
    }
    Ok(())
}

/// A future of the worker. Invariant: `event` is in nginx's queue only while the task is among the `TASKS` of the event
/// loop's thread, which hold a reference, so that the future is never dropped anywhere else.
struct Detached {
    owner: pthread_t,
    /// Its place among the `TASKS`.
    place: Cell<usize>,
    /// None while it is polled, and when it is over.
    future: Cell<Option<Running>>,
    polled: Cell<bool>,
    over: Cell<bool>,
    /// Another thread has woken it, and the event loop does not know yet.
    #[cfg(feature = "tokio")]
    woken: AtomicBool,
    event: UnsafeCell<ngx_event_t>,
}

type Running = Pin<Box<dyn Future<Output = ()>>>;

// SAFETY: other threads reach a task through its wakers alone. They read `owner`, which never changes, and may drop the
// last reference; the future is gone by then, by the invariant.
unsafe impl Send for Detached {}
// SAFETY: as above.
unsafe impl Sync for Detached {}

thread_local! {
    /// The tasks that are not over.
    static TASKS: RefCell<Vec<Arc<Detached>>> = const { RefCell::new(Vec::new()) };
    /// They are dropped when the worker exits.
    static DROPPED_AT_EXIT: Cell<bool> = const { Cell::new(false) };
}

impl Detached {
    fn new(future: Running) -> Result<Arc<Self>, Error> {
        if !DROPPED_AT_EXIT.replace(true) {
            // SAFETY: this is the event loop's thread, as the caller has found out.
            unsafe { event_loop::at_exit(drop_all, ptr::null_mut()) };
        }
        TASKS.with_borrow_mut(|tasks| {
            if tasks.len() >= MAX_DETACHED {
                return Err(Error::Busy);
            }
            // SAFETY: an event of zeros is what nginx's own modules start with.
            let mut event: ngx_event_t = unsafe { mem::zeroed() };
            event.handler = Some(resume);
            // SAFETY: in a worker there is a cycle, as long as the worker.
            event.log = unsafe { (*ngx_cycle).log };

            let task = Arc::new(Detached {
                owner: event_loop::this_thread(),
                place: Cell::new(tasks.len()),
                future: Cell::new(Some(future)),
                polled: Cell::new(false),
                over: Cell::new(false),
                #[cfg(feature = "tokio")]
                woken: AtomicBool::new(false),
                event: UnsafeCell::new(event),
            });
            // SAFETY: nobody else knows of the task yet.
            unsafe { (*task.event.get()).data = Arc::as_ptr(&task).cast_mut().cast() };
            tasks.push(task.clone());
            Ok(task)
        })
    }

    fn run(self: &Arc<Self>) {
        let Some(mut future) = self.future.take() else { return };
        let waker = Waker::from(self.clone());
        self.polled.set(true);
        let polled =
            turn::polling(Kind::Detached, || caught(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        self.polled.set(false);
        match polled {
            Ok(Poll::Pending) => return self.future.set(Some(future)),
            Ok(Poll::Ready(())) => {}
            Err(panic) => log::cycle_error(format_args!("a detached future {panic}")),
        }
        contain("a future, dropped,", || drop(future));
        self.end();
    }

    fn wake_on_loop(&self) {
        if !self.over.get() {
            let when = if self.polled.get() { When::Later } else { When::Soon };
            // SAFETY: this is the event loop's thread, and TASKS keeps the task and its event alive.
            unsafe { turn::post(self.event.get(), when) };
        }
    }

    /// Leaves the `TASKS`; the last one takes its place.
    fn end(&self) {
        self.over.set(true);
        let event = self.event.get();
        // SAFETY: the event belongs to this task, and this is the event loop's thread.
        unsafe {
            // It was woken by its own last poll.
            if (*event).posted() != 0 {
                ngx_delete_posted_event(event);
            }
        }
        TASKS.with_borrow_mut(|tasks| {
            let place = self.place.get();
            tasks.swap_remove(place);
            if let Some(moved) = tasks.get(place) {
                moved.place.set(place);
            }
        });
    }
}

impl Wake for Detached {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    /// The task will be polled in this turn of the event loop, or, if it is being polled, in the next one, but never
    /// inside of this call.
    fn wake_by_ref(self: &Arc<Self>) {
        match event_loop::this_thread() == self.owner {
            true => self.wake_on_loop(),
            #[cfg(feature = "tokio")]
            false if !self.woken.swap(true, Ordering::AcqRel) => notify::wake(self.clone()),
            false => {}
        }
    }
}

#[cfg(feature = "tokio")]
impl notify::Wakes for Detached {
    fn wake_here(self: Arc<Self>) {
        self.woken.swap(false, Ordering::AcqRel);
        self.wake_on_loop();
    }
}

/// The worker is about to exit: those that sleep go on, in the next turn of the event loop.
pub(super) fn wake_all() {
    TASKS.with_borrow(|tasks| {
        for task in tasks {
            // SAFETY: this is the event loop's thread, and TASKS keeps the task and its event alive.
            unsafe { turn::post(task.event.get(), When::Later) };
        }
    });
}

/// The worker exits.
unsafe extern "C" fn drop_all(_: *mut c_void) {
    for task in TASKS.take() {
        task.over.set(true);
        let future = task.future.take();
        contain("a future, dropped,", || drop(future));
    }
}

/// A task was woken.
unsafe extern "C" fn resume(event: *mut ngx_event_t) {
    // SAFETY: new() put it there; a task whose event is posted is among the TASKS.
    let task = unsafe {
        let task = (*event).data.cast::<Detached>().cast_const();
        Arc::increment_strong_count(task);
        Arc::from_raw(task)
    };
    task.run();
}
