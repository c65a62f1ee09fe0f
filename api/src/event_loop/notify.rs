//! Waking the event loop from other threads.
//!
//! An eventfd that nginx watches, and a queue. Who adds to the queue writes to the eventfd, unless somebody has done so
//! since the event loop last looked: however many threads have something to say in the meantime, it is one system call
//! for them, and one for the event loop.
//!
//! nginx's own `ngx_notify()` is the same, but has one place for a handler, which its thread pools write to: two users
//! would take each other's wake-ups away. The crate `ngx-tickle` (0.3) costs the same: from a thread to the event loop
//! and back, 5 µs of CPU time with each, and 5 to 13 µs in all on a busy machine. But its queue has no bound, it does not
//! end what is queued when the worker exits, it aborts the worker where no descriptor is left, and it clears its flag
//! with relaxed ordering, so that of a task that is queued at that moment neither side may see what the other did.

use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};

use ngx::core::Status;
use ngx::ffi::{ngx_connection_t, ngx_cycle, ngx_event_t, ngx_handle_read_event};
use rustix::event::{eventfd, EventfdFlags};
use rustix::io;

use crate::error::Error;
use crate::event_loop;
use crate::event_loop::panic::contain;

/// What the event loop does at most before it looks after its connections again.
const BUDGET: usize = 256;

/// The way to this worker's event loop; none before the first [`start`], which is never in the master.
static EVENT_LOOP: OnceLock<EventLoop> = OnceLock::new();

struct EventLoop {
    fd: OwnedFd,
    queue: Sender<Message>,
    /// Somebody has written to `fd` since the event loop last looked into the queue.
    told: AtomicBool,
    /// The worker exits: nobody looks into the queue any more.
    closed: AtomicBool,
}

enum Message {
    Run(Box<dyn FnOnce() + Send>),
    Wake(Arc<dyn Wakes>),
}

/// A task that is woken on the event loop.
pub(crate) trait Wakes: Send + Sync {
    /// Called on the event loop.
    fn wake_here(self: Arc<Self>);
}

/// The event loop's end. It is never freed: nginx refers to it until the process ends.
#[repr(C)]
struct Watched {
    connection: ngx_connection_t,
    read: ngx_event_t,
    write: ngx_event_t,
    queue: Receiver<Message>,
}

/// Makes sure that other threads can reach this thread, which is the event loop's.
pub(crate) fn start() -> Result<(), Error> {
    if EVENT_LOOP.get().is_some() {
        return Ok(());
    }
    if !event_loop::is_here() {
        return Err(Error::NotAvailable);
    }
    let (sender, receiver) = mpsc::channel();
    let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|_| Error::NotAvailable)?;
    watch(&fd, receiver)?;
    // Only this thread sets it.
    let closed = AtomicBool::new(false);
    let _ = EVENT_LOOP.set(EventLoop { fd, queue: sender, told: AtomicBool::new(false), closed });
    Ok(())
}

/// Runs a function on the event loop, soon. Where the worker exits before, it is dropped.
pub(crate) fn run(function: Box<dyn FnOnce() + Send>) -> Result<(), Error> {
    send(Message::Run(function))
}

/// Wakes a task on the event loop. Where there is none any more, there is nothing to wake.
pub(crate) fn wake(task: Arc<dyn Wakes>) {
    let _ = send(Message::Wake(task));
}

fn send(message: Message) -> Result<(), Error> {
    const CLOSED: Error = Error::Shutdown { maybe_applied: false };

    let event_loop = EVENT_LOOP.get().ok_or(Error::NotAvailable)?;
    if event_loop.closed.load(Ordering::Acquire) {
        return Err(CLOSED);
    }
    event_loop.queue.send(message).map_err(|_| CLOSED)?;
    event_loop.tell();
    Ok(())
}

impl EventLoop {
    fn tell(&self) {
        if !self.told.swap(true, Ordering::AcqRel) {
            // The counter cannot overflow: it is written to once for each time that it is read.
            let _ = io::retry_on_intr(|| io::write(&self.fd, &1_u64.to_ne_bytes()));
        }
    }

    /// From here on, what is added to the queue is told anew.
    fn listen(&self) {
        let mut count = [0; 8];
        let _ = io::retry_on_intr(|| io::read(&self.fd, &mut count));
        self.told.swap(false, Ordering::AcqRel);
    }
}

/// Has nginx watch the eventfd. The connection is none of those of the cycle: nginx would take it for one that was
/// forgotten, when it exits.
fn watch(fd: &OwnedFd, queue: Receiver<Message>) -> Result<(), Error> {
    // SAFETY: nginx's structures are good when they are zeros.
    let watched =
        Box::new(unsafe { Watched { connection: mem::zeroed(), read: mem::zeroed(), write: mem::zeroed(), queue } });
    let watched = Box::into_raw(watched);
    // SAFETY: it is there for good, and nobody else knows of it yet. ngx_cycle is there as long as the worker.
    unsafe {
        let log = (*ngx_cycle).log;
        (*watched).connection.fd = fd.as_raw_fd();
        (*watched).connection.log = log;
        (*watched).connection.read = &raw mut (*watched).read;
        (*watched).connection.write = &raw mut (*watched).write;
        for event in [&raw mut (*watched).read, &raw mut (*watched).write] {
            (*event).data = (&raw mut (*watched).connection).cast();
            (*event).log = log;
        }
        (*watched).write.set_write(1);
        (*watched).read.handler = Some(arrived);

        if ngx_handle_read_event(&raw mut (*watched).read, 0) != Status::NGX_OK.0 {
            drop(Box::from_raw(watched));
            return Err(Error::NotAvailable);
        }
        event_loop::at_exit(close, watched.cast());
    }
    Ok(())
}

/// The eventfd was written to.
unsafe extern "C" fn arrived(event: *mut ngx_event_t) {
    let Some(event_loop) = EVENT_LOOP.get() else { return };
    event_loop.listen();

    // SAFETY: watch() made them, and they are never freed. The connection is the first field.
    let watched = unsafe { (*event).data.cast::<Watched>() };
    for _ in 0..BUDGET {
        // SAFETY: as above; the borrow ends before anything is called.
        match unsafe { (*watched).queue.try_recv() } {
            Ok(message) => message.deliver(),
            Err(_) => return watch_on(event),
        }
    }
    // There may be more: nginx comes back here after the other events.
    event_loop.tell();
    watch_on(event);
}

/// For the methods that watch an event once.
fn watch_on(event: *mut ngx_event_t) {
    // SAFETY: the event of `arrived()`.
    unsafe {
        (*event).set_ready(0);
        ngx_handle_read_event(event, 0);
    }
}

impl Message {
    fn deliver(self) {
        contain("a call from another thread", || match self {
            Message::Run(function) => function(),
            Message::Wake(task) => task.wake_here(),
        });
    }
}

/// The worker exits.
unsafe extern "C" fn close(watched: *mut std::ffi::c_void) {
    if let Some(event_loop) = EVENT_LOOP.get() {
        event_loop.closed.store(true, Ordering::Release);
    }
    let watched = watched.cast::<Watched>();
    // SAFETY: watch() made it, and it is never freed; this is the event loop's thread.
    while let Ok(message) = unsafe { (*watched).queue.try_recv() } {
        // Whoever waits for it hears of that.
        contain("a call from another thread, dropped,", || drop(message));
    }
}

const _: () = assert!(mem::offset_of!(Watched, connection) == 0);
