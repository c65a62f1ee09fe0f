//! Turns of the event loop, and what futures may do in one of them.
//!
//! nginx goes on with posted events until there are none left, also those that are posted meanwhile, before it looks
//! after connections, timers and signals again. A future that is woken as soon as it was polled would keep it there. So
//! the event of a task that was woken is posted here: to this turn while there is some left of what it may do, and to
//! the next one after that, or if the task is just being polled. For the same reason a future that is refused again and
//! again in one poll has to wait in between.

#![forbid(unsafe_code)]

use std::cell::{Cell, OnceCell};
use std::mem::ManuallyDrop;
use std::sync::Arc;

use crate::nginx::event::{Event, Wakes, Wakeup, When};
use crate::nginx::request::RequestRef;

/// How many tasks are woken within one turn of the event loop, at most.
const WAKES_PER_TURN: u32 = 1024;

/// How many calls of one poll are refused at once; the answer of the next one comes in the next turn.
const REFUSALS_PER_POLL: u32 = 64;

/// How many tasks are polled inside of each other at most: one that begins the next one at once, and so on, needs room on
/// the stack for each.
const MAX_NESTED: u32 = 16;

thread_local! {
    static POLLING: Cell<Polling> = const {
        Cell::new(Polling { kind: Kind::Request, request: None, refusals: REFUSALS_PER_POLL, nested: 0 })
    };
    static WAKES: Cell<u32> = const { Cell::new(WAKES_PER_TURN) };
    /// Begins the turn after one that had no more wakes. It is there as long as the worker.
    static REFILL: OnceCell<ManuallyDrop<Event<()>>> = const { OnceCell::new() };
}

/// What is being polled.
#[derive(Clone, Copy)]
struct Polling {
    kind: Kind,
    /// The request that calls are counted for.
    request: Option<RequestRef<'static>>,
    /// How many more calls may be refused at once.
    refusals: u32,
    /// How many tasks are polled inside of each other.
    nested: u32,
}

/// What a task belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    /// To nobody but the worker.
    Detached,
}

/// Has a task polled again: in this turn, if it may do more, or else in the next one.
pub(crate) fn wake<T: Wakes>(task: Arc<T>) {
    let left = WAKES.get();
    if left == 0 {
        return wake_later(task);
    }
    Wakeup::post(task, When::Soon);
    // The turn in which this happens may be any later one: that is one wait for nothing in so many wakes, where to know
    // would be one in every turn.
    WAKES.set(left.saturating_sub(1));
    if left == 1 {
        let refill = || ManuallyDrop::new(Event::new((), |_| WAKES.set(WAKES_PER_TURN)));
        REFILL.with(|event| event.get_or_init(refill).post_next());
    }
}

/// Has a task polled again in the next turn.
pub(crate) fn wake_later<T: Wakes>(task: Arc<T>) {
    Wakeup::post(task, When::Later);
}

/// Polls a task: of calls that are refused meanwhile, so many are refused at once. Calls are counted for the request that
/// it belongs to; when the task has ended that, it submits nothing more.
pub(crate) fn polling<R>(kind: Kind, request: Option<RequestRef<'static>>, poll: impl FnOnce() -> R) -> R {
    // One may be begun, and polled, by another.
    let outer = POLLING.get();
    let (request, nested) = (request.or(outer.request), outer.nested.saturating_add(1));
    POLLING.set(Polling { kind, request, refusals: REFUSALS_PER_POLL, nested });
    let polled = poll();
    POLLING.set(outer);
    polled
}

/// Whether a task that is begun now may be polled at once; otherwise it waits for the next turn.
pub(crate) fn may_nest() -> bool {
    POLLING.get().nested < MAX_NESTED
}

/// What is being polled.
pub(crate) fn kind() -> Kind {
    POLLING.get().kind
}

/// The request that a call is counted for. In a task of a request, it is that.
pub(crate) fn request() -> Option<RequestRef<'static>> {
    POLLING.get().request
}

/// Whether the task that is being polled may be told of a refusal at once.
pub(crate) fn may_refuse() -> bool {
    let now = POLLING.get();
    POLLING.set(Polling { refusals: now.refusals.saturating_sub(1), ..now });
    now.refusals > 0
}
