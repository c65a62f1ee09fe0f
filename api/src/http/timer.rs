//! Time on the worker's event loop.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::Future;
use std::pin::{pin, Pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ngx::ffi::{ngx_msec_int_t, ngx_msec_t};

use super::exit;
use crate::event_loop;
use crate::event_loop::panic::contain;
use crate::event_loop::turn::{self, Kind};
use crate::nginx::cycle;
use crate::nginx::event::Event;

/// Waits for a time, in whole milliseconds, rounded up. With a time of zero it waits until other events were handled.
///
/// A worker that exits waits for the requests that wait for this. In [`spawn_detached`](super::spawn_detached) it ends when the
/// worker is told to exit. On other threads than that of a worker's event loop it ends at once. (`tokio::time` and the like need
/// a runtime of their own.)
pub fn sleep(time: Duration) -> Sleep {
    Sleep { time, state: State::New, whole: false, until_exit: false }
}

/// Waits for a future, but no longer than `time`: `None` when that has passed. The future is dropped then, which cancels
/// the calls that it waits for.
///
/// Operations have a deadline of their own. This is for futures that have none, such as an answer from another thread. A worker
/// that exits would wait for that without end.
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
    state: State,
    /// Not over before its time: it bounds something that is under way.
    whole: bool,
    /// It is over when the worker is told to exit.
    until_exit: bool,
}

enum State {
    New,
    /// The waker is taken out when the time has passed.
    Running(Event<Cell<Option<Waker>>>),
    Over,
}

impl Sleep {
    fn start(&mut self, waker: Waker) {
        let detached = turn::kind() == Kind::Detached;
        let late = cycle::is_exiting();
        self.until_exit = detached && !late && !self.whole;
        if self.until_exit {
            exit::watch();
        }
        let event = Event::new(Cell::new(Some(waker)), rings);
        event.set_cancelable(detached && late);
        event.set_timer(milliseconds(self.time));
        self.state = State::Running(event);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        match &this.state {
            State::New if event_loop::is_here() && !this.time.is_zero() => {
                this.start(cx.waker().clone());
                return Poll::Pending;
            }
            State::New if event_loop::is_here() => {
                // Other events come first.
                this.state = State::Over;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            State::Running(waiting) if !(this.until_exit && cycle::is_exiting()) => {
                if let Some(mut waker) = waiting.take() {
                    waker.clone_from(cx.waker());
                    waiting.set(Some(waker));
                    return Poll::Pending;
                }
            }
            State::New | State::Running(_) | State::Over => {}
        }
        this.state = State::Over;
        Poll::Ready(())
    }
}

/// The time has passed. The waker may drop the sleep.
fn rings(waiting: &Cell<Option<Waker>>) {
    if let Some(waker) = waiting.take() {
        contain("a waker", || waker.wake());
    }
}

/// As nginx counts them. It compares times by their distance, which has a sign.
fn milliseconds(time: Duration) -> ngx_msec_t {
    let rounded = time.saturating_add(Duration::from_nanos(999_999)).as_millis();
    let most = ngx_msec_t::try_from(ngx_msec_int_t::MAX / 2).unwrap_or_default();
    ngx_msec_t::try_from(rounded).unwrap_or(most).min(most)
}
