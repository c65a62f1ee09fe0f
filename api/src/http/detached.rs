//! Futures that belong to the worker.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::Future;

use super::task::{Owner, TaskRef};
use crate::error::Error;
use crate::event_loop;
use crate::event_loop::turn::{self, Kind};
use crate::nginx::{cycle, log};

/// Detached futures that a sibling may have at the same time in a worker; one more is refused with
/// [`Error::Busy`].
pub const MAX_DETACHED: usize = 16_384;

/// Runs a future that belongs to no request: for what a request starts and does not wait for, and for handlers of the
/// **log phase**, where the request is about to be freed.
///
/// It is polled at once. Where one begins another, and that another, it is polled in the next turn of the event loop. It is
/// dropped when it has ended. A panic is logged, and ends it.
///
/// A worker that **exits** (reload, quit) waits for the operations that are under way, and for nothing else. A
/// [`sleep`](super::sleep) ends at once when the worker is told to exit, so that the code behind it runs. One that begins later
/// does not keep the worker. Futures that are left when no operation is under way are dropped. So a loop that sleeps goes round
/// once more and ends. A loop that does not sleep has to ask [`exiting`](super::exiting); otherwise it keeps the worker until
/// `worker_shutdown_timeout`.
///
/// The future owns what it uses: take what you need out of the request before. It may use the [`Client`](crate::Client) of the
/// request, which lives as long as the worker.
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
/// Fails, and drops the future, with [`Error::Busy`] if there are [`MAX_DETACHED`] already, with [`Error::NoMemory`], and with
/// [`Error::WrongThread`] on other threads than that of a worker's event loop, which calls the handlers. Outside of a request,
/// [`Client::from_request`](crate::Client::from_request) or the like must have succeeded there before.
pub fn spawn_detached(future: impl Future<Output = ()> + 'static) -> Result<(), Error> {
    if !event_loop::is_here() {
        return Err(Error::WrongThread);
    }
    let task = register()?;
    if task.put(future).is_none() {
        end(&task);
        return Err(Error::NoMemory);
    }
    match turn::may_nest() {
        true => run(&task),
        false => task.wake_later(),
    }
    Ok(())
}

/// The worker as the owner of a task.
struct OfWorker {
    /// Where it is among the `TASKS`.
    index: Cell<usize>,
}

type Detached = TaskRef<OfWorker>;

thread_local! {
    /// The tasks that are not over.
    static TASKS: RefCell<Vec<Detached>> = const { RefCell::new(Vec::new()) };
    /// They are dropped when the worker exits.
    static DROPPED_AT_EXIT: Cell<bool> = const { Cell::new(false) };
}

impl Owner for OfWorker {
    type Output = ();

    const KIND: Kind = Kind::Detached;

    fn resume(task: Detached) {
        run(&task);
    }
}

/// A task among the `TASKS`.
fn register() -> Result<Detached, Error> {
    if !DROPPED_AT_EXIT.replace(true) {
        cycle::at_exit(drop_all);
    }
    TASKS.with_borrow_mut(|tasks| {
        if tasks.len() >= MAX_DETACHED {
            return Err(Error::Busy);
        }
        let task = TaskRef::new(OfWorker { index: Cell::new(tasks.len()) });
        tasks.push(task.clone());
        Ok(task)
    })
}

fn run(task: &Detached) {
    match task.poll() {
        None => return,
        Some(Ok(())) => {}
        Some(Err(panic)) => log::cycle_error(format_args!("a detached future {panic}")),
    }
    end(task);
}

/// Takes it out of the `TASKS`; the last one goes where it was.
fn end(task: &Detached) {
    TASKS.with_borrow_mut(|tasks| {
        let index = task.index.get();
        tasks.swap_remove(index);
        if let Some(moved) = tasks.get(index) {
            moved.index.set(index);
        }
    });
}

/// The worker is about to exit: those that sleep go on, in the next turn of the event loop.
pub(super) fn wake_all() {
    TASKS.with_borrow(|tasks| tasks.iter().for_each(TaskRef::wake_later));
}

/// The worker exits.
fn drop_all() {
    for task in TASKS.take() {
        task.give_up();
    }
}
