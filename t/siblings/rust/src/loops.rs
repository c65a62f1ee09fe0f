//! Futures that never wait for long, until they are told to stop.

use std::cell::{Cell, RefCell};
use std::future::{poll_fn, Future};
use std::task::{Poll, Waker};
use std::time::Duration;

use ngx::core::Status;
use ngx::http::{HTTPStatus, Request};
use ngx_memcache::http::{self, Respond, Response};
use ngx_memcache::Client;

thread_local! {
    static STOP: Cell<bool> = const { Cell::new(false) };
    static ROUNDS: Cell<u64> = const { Cell::new(0) };
    /// Those that wait for each other.
    static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// - `loop_yield`: is woken while it is polled.
/// - `loop_pair`: two that wake each other.
/// - `loop_get`, `loop_many`, `loop_invalid`: operations that fail at once.
/// - `loop_sleep`: for no time.
/// - `loop_begin`: ends, and begins the next one before; detached alone.
/// - `loop_stop`: ends them, and says how often they went round.
///
/// They are detached; with `_request` behind the name they are what a request waits for.
pub fn handle(request: &mut Request, mc: Client, what: &str) -> Option<Status> {
    let (what, waits) = what.strip_suffix("_request").map_or((what, false), |what| (what, true));
    if what == "loop_stop" {
        STOP.set(true);
        return Some(Response::ok().body(format!("rounds={}", ROUNDS.replace(0))).respond(request));
    }
    STOP.set(false);
    Some(match what {
        "loop_yield" => start(request, waits, || round(yield_now)),
        "loop_pair" => {
            let _ = http::spawn_detached(round(take_turns));
            start(request, waits, || round(take_turns))
        }
        "loop_get" => start(request, waits, move || {
            round(move || async move {
                let _ = mc.get("k").await;
            })
        }),
        "loop_many" => start(request, waits, move || {
            round(move || async move {
                let _ = mc.get_multi(["k", "l"]).await;
            })
        }),
        "loop_invalid" => start(request, waits, move || {
            round(move || async move {
                let _ = mc.get("").await;
            })
        }),
        "loop_begin" => {
            begin_next();
            HTTPStatus::ACCEPTED.respond(request)
        }
        "loop_sleep" => start(request, waits, || round(|| http::sleep(Duration::ZERO))),
        _ => return None,
    })
}

fn start<F: Future<Output = ()> + 'static>(request: &mut Request, waits: bool, begin: impl Fn() -> F) -> Status {
    if !waits {
        return http::spawn_detached(begin()).map(|()| HTTPStatus::ACCEPTED).respond(request);
    }
    let rounds = begin();
    http::spawn(request, async move {
        rounds.await;
        Response::ok().body("stopped")
    })
}

async fn round<F: Future<Output = ()>>(step: impl Fn() -> F) {
    while !STOP.get() {
        ROUNDS.set(ROUNDS.get().wrapping_add(1));
        step().await;
    }
    WAITING.take().into_iter().for_each(Waker::wake);
}

fn begin_next() {
    let _ = http::spawn_detached(async {
        if !STOP.get() {
            ROUNDS.set(ROUNDS.get().wrapping_add(1));
            begin_next();
        }
    });
}

/// Is ready the second time that it is polled.
fn second(mut first: impl FnMut(&Waker)) -> impl Future<Output = ()> {
    let mut polled = false;
    poll_fn(move |cx| {
        if polled {
            return Poll::Ready(());
        }
        polled = true;
        first(cx.waker());
        Poll::Pending
    })
}

fn yield_now() -> impl Future<Output = ()> {
    second(Waker::wake_by_ref)
}

/// Wakes the other one, and waits for it.
fn take_turns() -> impl Future<Output = ()> {
    second(|waker| {
        let others = WAITING.replace(vec![waker.clone()]);
        others.into_iter().for_each(Waker::wake);
    })
}
