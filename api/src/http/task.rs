//! A future on the event loop, and what wakes it.

#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
#[cfg(feature = "tokio")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::slot::Slot;
#[cfg(feature = "tokio")]
use crate::event_loop::notify;
use crate::event_loop::panic::{caught, contain};
use crate::event_loop::turn::{self, Kind};
use crate::nginx::event::{Wakes, Wakeup};
use crate::nginx::request::RequestRef;
use crate::nginx::thread::Thread;

/// A future on the event loop. Its owner, a request or the worker, says what is done with its output.
///
/// It is shared by [`TaskRef`]s, which are the event loop's, and by its wakers. A waker may outlive the owner, and be cloned,
/// used and dropped on any thread. Woken on another thread, the task does nothing, or, with the feature `tokio`, tells the
/// event loop.
pub(super) struct Task<O: Owner> {
    /// The thread of the event loop.
    thread: Thread,
    stage: Cell<Stage>,
    /// Another thread has woken it, and the event loop does not know yet.
    #[cfg(feature = "tokio")]
    woken: AtomicBool,
    wakeup: Wakeup,
    /// Invariant: there is a future unless the stage is `Over`, and it is gone before the last `TaskRef`.
    slot: UnsafeCell<Slot<O::Output>>,
    owner: O,
}

/// Whose a task is. It has nothing that is dropped.
pub(super) trait Owner: Sized + 'static {
    /// Of the future.
    type Output;

    const KIND: Kind;

    /// The task was woken. It must not panic.
    fn resume(task: TaskRef<Self>);

    /// The request that its calls are counted for.
    fn request(&self) -> Option<RequestRef<'static>> {
        None
    }

    /// Nobody has the task any more.
    fn unused(_task: Arc<Task<Self>>) {}
}

/// What becomes of a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// It is being polled, and nobody else touches it.
    Polled,
    /// The same, and it is dropped then.
    GivenUp,
    /// It was dropped.
    Over,
}

/// A reference of the event loop's to a task.
pub(super) struct TaskRef<O: Owner>(ManuallyDrop<Arc<Task<O>>>, PhantomData<*const ()>);

// SAFETY: other threads reach a task through its wakers alone. Those read `thread`, which never changes, `woken`, and they may
// drop the last reference. That frees memory, but drops neither the future, which is gone by then, nor anything of the
// owner's, which has nothing to drop, as `TaskRef::new` checks.
unsafe impl<O: Owner> Send for Task<O> {}
// SAFETY: as above.
unsafe impl<O: Owner> Sync for Task<O> {}

impl<O: Owner> TaskRef<O> {
    /// A task without a future.
    pub(super) fn new(owner: O) -> Self {
        const { assert!(!mem::needs_drop::<O>()) };

        Self::of(Arc::new(Task {
            thread: Thread::this(),
            stage: Cell::new(Stage::Over),
            #[cfg(feature = "tokio")]
            woken: AtomicBool::new(false),
            wakeup: Wakeup::new(),
            slot: UnsafeCell::new(Slot::new()),
            owner,
        }))
    }

    /// The event loop's reference to a task of its thread.
    pub(super) fn of(task: Arc<Task<O>>) -> Self {
        TaskRef(ManuallyDrop::new(task), PhantomData)
    }

    /// Gives the task its future; the one before is gone. `None`: no memory.
    #[inline(always)]
    pub(super) fn put<F: Future<Output = O::Output> + 'static>(&self, future: F) -> Option<()> {
        debug_assert!(self.0.stage.get() == Stage::Over);
        // SAFETY: the stage is `Over`, so nobody uses the slot.
        unsafe { (*self.0.slot.get()).vacant()?.insert(future) };
        self.0.stage.set(Stage::Waiting);
        Some(())
    }

    /// Polls the future: what it ended with, if it did, or its panic. It is dropped then.
    ///
    /// It is not polled if it is over, or in the middle of being polled, which goes on.
    pub(super) fn poll(&self) -> Option<Result<O::Output, String>> {
        let task = &self.0;
        if task.stage.get() != Stage::Waiting {
            return None;
        }
        // SAFETY: the stage is `Waiting`, so the future is there; while it is `Polled` nobody else touches it.
        let future = unsafe { (*task.slot.get()).future()? };
        task.stage.set(Stage::Polled);
        // SAFETY: this reference is not counted, and not dropped. There is another one, this one's, until it is not used
        // any more.
        let waker = ManuallyDrop::new(Waker::from(unsafe { Arc::from_raw(Arc::as_ptr(task)) }));
        let mut context = Context::from_waker(&waker);
        let polled = turn::polling(O::KIND, task.owner.request(), || caught(|| future.poll(&mut context)));

        if matches!(polled, Ok(Poll::Pending)) && task.stage.get() == Stage::Polled {
            task.stage.set(Stage::Waiting);
            return None;
        }
        self.discard();
        match polled {
            Ok(Poll::Ready(output)) => Some(Ok(output)),
            Ok(Poll::Pending) => None,
            Err(panic) => Some(Err(panic)),
        }
    }

    /// Drops the future, now or when it is not being polled any more. No event comes after that.
    pub(super) fn give_up(&self) {
        match self.0.stage.get() {
            Stage::Waiting => self.discard(),
            Stage::Polled => self.0.stage.set(Stage::GivenUp),
            Stage::GivenUp | Stage::Over => {}
        }
    }

    /// Has it polled in the next turn of the event loop.
    pub(super) fn wake_later(&self) {
        if self.0.is_alive() {
            turn::wake_later(Arc::clone(&self.0));
        }
    }

    /// Drops the future; what it panics with on that occasion is logged, and does not reach nginx.
    fn discard(&self) {
        self.0.stage.set(Stage::Over);
        // It may have been woken before.
        Wakeup::take_back(&self.0);
        // SAFETY: nobody uses the slot: the future is not being polled any more, as the callers know.
        contain("a future, dropped,", || unsafe { (*self.0.slot.get()).clear() });
    }
}

impl<O: Owner> Task<O> {
    /// How many bytes it has for a future.
    pub(super) fn room(&mut self) -> usize {
        self.slot.get_mut().size()
    }

    fn is_alive(&self) -> bool {
        matches!(self.stage.get(), Stage::Waiting | Stage::Polled)
    }

    /// Woken on the event loop.
    fn wake_here(self: Arc<Self>) {
        match self.stage.get() {
            Stage::Waiting => turn::wake(self),
            Stage::Polled => turn::wake_later(self),
            Stage::GivenUp | Stage::Over => {}
        }
    }
}

impl<O: Owner> Wake for Task<O> {
    /// The task will be polled in this turn of the event loop, or, if it is being polled, in the next one, but never
    /// inside of this call.
    fn wake(self: Arc<Self>) {
        match Thread::this() == self.thread {
            true => self.wake_here(),
            #[cfg(feature = "tokio")]
            false if !self.woken.swap(true, Ordering::AcqRel) => notify::wake(self),
            false => {}
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.clone().wake();
    }
}

#[cfg(feature = "tokio")]
impl<O: Owner> notify::Wakes for Task<O> {
    fn wake_here(self: Arc<Self>) {
        self.woken.swap(false, Ordering::AcqRel);
        Task::wake_here(self);
    }
}

impl<O: Owner> Wakes for Task<O> {
    fn wakeup(&self) -> &Wakeup {
        &self.wakeup
    }

    fn fire(self: Arc<Self>) {
        O::resume(TaskRef::of(self));
    }
}

impl<O: Owner> Clone for TaskRef<O> {
    fn clone(&self) -> Self {
        TaskRef::of(Arc::clone(&self.0))
    }
}

/// A task's owner is the event loop's alone.
impl<O: Owner> Deref for TaskRef<O> {
    type Target = O;

    fn deref(&self) -> &O {
        &self.0.owner
    }
}

impl<O: Owner> Drop for TaskRef<O> {
    fn drop(&mut self) {
        // SAFETY: it is not used afterwards.
        let mut task = unsafe { ManuallyDrop::take(&mut self.0) };
        // Whoever holds a waker still knows the task: it must not become another owner's.
        if let Some(last) = Arc::get_mut(&mut task) {
            debug_assert!(last.stage.get() == Stage::Over);
            O::unused(task);
        }
    }
}
