//! Turns of the event loop, and what futures may do in one of them.
//!
//! nginx goes on with posted events until there are none left, also those that are posted meanwhile, before it looks
//! after connections, timers and signals again. A future that is woken as soon as it was polled would keep it there. So
//! the event of a task that was woken is posted here: to this turn while there is some left of what it may do, and to
//! the next one after that, or if the task is just being polled. For the same reason a future that is refused again and
//! again in one poll has to wait in between.

use std::cell::{Cell, UnsafeCell};
use std::mem::MaybeUninit;

use nginx_sys::{ngx_cycle, ngx_event_t, ngx_post_event, ngx_posted_events, ngx_posted_next_events};

/// How many tasks are woken within one turn of the event loop, at most.
const WAKES_PER_TURN: u32 = 1024;

/// How many calls of one poll are refused at once; the answer of the next one comes in the next turn.
const REFUSALS_PER_POLL: u32 = 64;

/// How many tasks are polled inside of each other at most: one that begins the next one at once, and so on, needs room on
/// the stack for each.
const MAX_NESTED: u32 = 16;

thread_local! {
    static NESTED: Cell<u32> = const { Cell::new(0) };
    static WAKES: Cell<u32> = const { Cell::new(WAKES_PER_TURN) };
    static KIND: Cell<Kind> = const { Cell::new(Kind::Request) };
    static REFUSALS: Cell<u32> = const { Cell::new(REFUSALS_PER_POLL) };
    /// Begins the turn after one that had no more wakes. An event of zeros is what nginx's own modules start with.
    static REFILL: UnsafeCell<MaybeUninit<ngx_event_t>> = const { UnsafeCell::new(MaybeUninit::zeroed()) };
}

/// What a task belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    /// To nobody but the worker.
    Detached,
}

/// When the handler of an event is to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// In this turn, if it may do more; nobody waits for the next one.
    Soon,
    /// In the next turn: other events come first.
    Later,
}

/// Has an event's handler called, once.
///
/// # Safety
///
/// This is the event loop's thread. The event has a handler and a log, and is deleted before it goes.
pub(crate) unsafe fn post(event: *mut ngx_event_t, when: When) {
    let left = WAKES.get();
    // SAFETY: guaranteed by the caller; nginx's queues are there in every worker.
    unsafe {
        if when == When::Later || left == 0 {
            ngx_post_event(event, &raw mut ngx_posted_next_events);
            return;
        }
        ngx_post_event(event, &raw mut ngx_posted_events);
    }
    // The turn in which this happens may be any later one: that is one wait for nothing in so many wakes, where to know
    // would be one in every turn.
    WAKES.set(left.saturating_sub(1));
    if left == 1 {
        REFILL.with(|refill| {
            let refill = refill.get().cast::<ngx_event_t>();
            // SAFETY: it stays where it is as long as the thread, and nobody else uses it. ngx_cycle is there as long as
            // the worker.
            unsafe {
                (*refill).handler = Some(refilled);
                (*refill).log = (*ngx_cycle).log;
                ngx_post_event(refill, &raw mut ngx_posted_next_events);
            }
        });
    }
}

unsafe extern "C" fn refilled(_: *mut ngx_event_t) {
    WAKES.set(WAKES_PER_TURN);
}

/// Polls a task: of calls that are refused meanwhile, so many are refused at once.
pub(crate) fn polling<R>(kind: Kind, poll: impl FnOnce() -> R) -> R {
    // One may be begun, and polled, by another.
    let outer = (KIND.replace(kind), REFUSALS.replace(REFUSALS_PER_POLL));
    NESTED.set(NESTED.get().saturating_add(1));
    let polled = poll();
    NESTED.set(NESTED.get().saturating_sub(1));
    KIND.set(outer.0);
    REFUSALS.set(outer.1);
    polled
}

/// Whether a task that is begun now may be polled at once; otherwise it waits for the next turn.
pub(crate) fn may_nest() -> bool {
    NESTED.get() < MAX_NESTED
}

/// What is being polled.
pub(crate) fn kind() -> Kind {
    KIND.get()
}

/// Whether the task that is being polled may be told of a refusal at once.
pub(crate) fn may_refuse() -> bool {
    let left = REFUSALS.get();
    REFUSALS.set(left.saturating_sub(1));
    left > 0
}
