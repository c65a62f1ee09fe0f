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

#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};

use rustix::event::{eventfd, EventfdFlags};
use rustix::io;

use crate::error::Error;
use crate::event_loop;
use crate::event_loop::panic::contain;
use crate::nginx::{cycle, watched};

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

thread_local! {
    /// The event loop's end of the queue. It is never freed: at the very end of the process there is nobody to tell.
    static QUEUE: OnceCell<&'static Receiver<Message>> = const { OnceCell::new() };
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
    watched::watch(fd.as_fd(), arrived).ok_or(Error::NotAvailable)?;
    cycle::at_exit(close);
    // Only this thread sets these.
    let closed = AtomicBool::new(false);
    let _ = QUEUE.with(|queue| queue.set(Box::leak(Box::new(receiver))));
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

/// The next message, if there is one.
fn next() -> Option<Message> {
    QUEUE.with(|queue| queue.get()?.try_recv().ok())
}

/// The eventfd was written to.
fn arrived() {
    let Some(event_loop) = EVENT_LOOP.get() else { return };
    event_loop.listen();
    for _ in 0..BUDGET {
        match next() {
            Some(message) => message.deliver(),
            None => return,
        }
    }
    // There may be more: nginx comes back here after the other events.
    event_loop.tell();
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
fn close() {
    if let Some(event_loop) = EVENT_LOOP.get() {
        event_loop.closed.store(true, Ordering::Release);
    }
    while let Some(message) = next() {
        // Whoever waits for it hears of that.
        contain("a call from another thread, dropped,", || drop(message));
    }
}
