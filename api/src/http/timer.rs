//! Time on the worker's event loop.

use std::cell::{Cell, UnsafeCell};
use std::future::Future;
use std::marker::PhantomPinned;
use std::mem;
use std::pin::{pin, Pin};
use std::ptr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ngx::ffi::{ngx_add_timer, ngx_cycle, ngx_del_timer, ngx_event_t, ngx_msec_int_t, ngx_msec_t};

use super::exit;
use crate::event_loop;
use crate::event_loop::panic::contain;
use crate::event_loop::turn::{self, Kind};

/// Waits so long: whole milliseconds, rounded up; for no time, until other events were handled.
///
/// A worker that exits waits for the requests that wait for this. In [`spawn_detached`](super::spawn_detached) it is over
/// when the worker is told to exit. `tokio::time` and the like need their own runtime. Anywhere but on a worker's event
/// loop there is nothing to wait with, and it is over at once.
pub fn sleep(time: Duration) -> Sleep {
    // SAFETY: an event of zeros is what nginx's own modules start with.
    let event = UnsafeCell::new(unsafe { mem::zeroed() });
    Sleep {
        time,
        event,
        state: Cell::new(State::New),
        whole: false,
        until_exit: Cell::new(false),
        _pinned: PhantomPinned,
    }
}

/// Waits for a future, but no longer than `time`: `None` when that has passed. The future is dropped then, which cancels
/// the calls that it waits for.
///
/// Operations have a deadline of their own. This is for what has none, such as an answer from another thread, which a
/// worker that exits would wait for without end.
///
/// ```no_run
/// # use std::time::Duration;
/// # use ngx_memcache::{http, Client, Error};
/// # async fn example(mc: Client) -> Result<(), Error> {
/// match http::timeout(Duration::from_millis(50), mc.get_multi(["head", "body", "foot"])).await {
///     Some(items) => {}
///     None => {}
/// }
/// # Ok(()) }
/// ```
pub async fn timeout<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut bound = sleep(time);
    bound.whole = true;
    let mut sleep = pin!(bound);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// What [`sleep`] returns.
#[must_use = "futures do nothing unless they are awaited"]
pub struct Sleep {
    time: Duration,
    /// Invariant: in nginx's tree of timers only while `state` is `Running`, and pinned then.
    event: UnsafeCell<ngx_event_t>,
    state: Cell<State>,
    /// Not over before its time: it bounds something that is under way.
    whole: bool,
    /// It is over when the worker is told to exit.
    until_exit: Cell<bool>,
    _pinned: PhantomPinned,
}

enum State {
    New,
    Running(Waker),
    Over,
}

impl Sleep {
    fn start(&self) {
        let event = self.event.get();
        let detached = turn::kind() == Kind::Detached;
        let late = event_loop::is_exiting();
        self.until_exit.set(detached && !late && !self.whole);
        if self.until_exit.get() {
            exit::watch();
        }
        // SAFETY: this is pinned, and takes the event out of the tree when it is dropped. ngx_cycle is there as long as
        // the worker.
        unsafe {
            (*event).handler = Some(rings);
            (*event).data = ptr::from_ref(self).cast_mut().cast();
            (*event).log = (*ngx_cycle).log;
            (*event).set_cancelable((detached && late).into());
            ngx_add_timer(event, milliseconds(self.time));
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.into_ref().get_ref();
        match this.state.replace(State::Over) {
            State::New if !event_loop::is_here() => return Poll::Ready(()),
            // Other events come first.
            State::New if this.time.is_zero() => cx.waker().wake_by_ref(),
            State::New => {
                this.start();
                this.state.set(State::Running(cx.waker().clone()));
            }
            State::Running(_) if this.until_exit.get() && event_loop::is_exiting() => {
                // SAFETY: it is in the tree while it runs, by the invariant.
                unsafe { ngx_del_timer(this.event.get()) };
                return Poll::Ready(());
            }
            State::Running(mut waker) => {
                waker.clone_from(cx.waker());
                this.state.set(State::Running(waker));
            }
            State::Over => return Poll::Ready(()),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let State::Running(_) = self.state.get_mut() {
            // SAFETY: it is in the tree while it runs, by the invariant; a future that runs is on the event loop.
            unsafe { ngx_del_timer(self.event.get()) };
        }
    }
}

/// The event's handler. nginx has taken it out of the tree.
unsafe extern "C" fn rings(event: *mut ngx_event_t) {
    // SAFETY: start() put a pinned sleep there, which would have deleted the timer if it had been dropped.
    let this = unsafe { &*(*event).data.cast_const().cast::<Sleep>() };
    // The waker comes last: it may drop the sleep.
    if let State::Running(waker) = this.state.replace(State::Over) {
        contain("a waker", || waker.wake());
    }
}

/// As nginx counts them. It compares times by their distance, which has a sign.
fn milliseconds(time: Duration) -> ngx_msec_t {
    let rounded = time.saturating_add(Duration::from_nanos(999_999)).as_millis();
    let most = ngx_msec_t::try_from(ngx_msec_int_t::MAX / 2).unwrap_or_default();
    ngx_msec_t::try_from(rounded).unwrap_or(most).min(most)
}
