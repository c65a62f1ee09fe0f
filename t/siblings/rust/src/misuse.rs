//! What a sibling should not do, and what it should survive.

use std::any::Any;
use std::borrow::Cow;
use std::future::{poll_fn, Future};
use std::mem;
use std::panic::panic_any;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use ngx::core::Status;
use ngx::http::{HTTPStatus, Request};
use ngx_memcache::http::{self, Respond, Response};
use ngx_memcache::{Client, Error, IntoValue, Item};
use tokio::sync::oneshot;
use tokio::task::{spawn_local, LocalSet};

/// Each says what it found, or panics.
#[allow(clippy::panic)]
pub fn handle(request: &mut Request, mc: Client, what: &str) -> Status {
    match what {
        "a14_handler" => panic!("in a handler"),
        "a14_encode" => http::spawn(request, {
            let set = mc.set("k", Unencodable);
            async move { set.await.map(|()| HTTPStatus::NO_CONTENT) }
        }),
        "a14_key" => http::spawn(request, mc.get(Keyless)),
        "a14_payload" => http::spawn(request, async move {
            mc.get("k").await?;
            panic_any(Box::new(42) as Box<dyn Any + Send>);
            #[allow(unreachable_code)]
            Ok::<_, Error>(HTTPStatus::OK)
        }),
        "a14_respond" => http::spawn(request, async move { mc.get("k").await.map(|_| Answerless) }),
        "a14_drop" => http::spawn(request, async move {
            let _bomb = Bomb("in a drop");
            mc.get("k").await
        }),
        "a14_waker" => http::spawn(request, bad_waker(mc)),
        "a14_detached" => http::spawn_detached(async move {
            let _ = mc.get("k").await;
            panic!("detached");
        })
        .map(|()| HTTPStatus::NO_CONTENT)
        .respond(request),
        "a4_thread" => http::spawn(request, on_a_thread(mc)),
        "a4_item" => http::spawn(request, item_on_a_thread(mc)),
        "forget" => http::spawn(request, forget(mc)),
        "again" => http::spawn(request, again(mc)),
        "nested" => http::spawn(request, nested(mc)),
        "storm" => http::spawn(request, storm(mc)),
        "twice" => twice(request, mc),
        _ => HTTPStatus::NOT_FOUND.into(),
    }
}

struct Bomb(&'static str);

impl Drop for Bomb {
    #[allow(clippy::panic)]
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

struct Unencodable;

impl IntoValue<'static> for Unencodable {
    #[allow(clippy::panic)]
    fn into_value(self) -> Result<(Cow<'static, [u8]>, u32), Error> {
        panic!("in an encoding")
    }
}

struct Keyless;

impl AsRef<[u8]> for Keyless {
    #[allow(clippy::panic)]
    fn as_ref(&self) -> &[u8] {
        panic!("in a key")
    }
}

struct Answerless;

impl Respond for Answerless {
    #[allow(clippy::panic)]
    fn respond(self, _request: &mut Request) -> Status {
        panic!("in an answer")
    }
}

/// Waits with a waker that panics, as one of a foreign executor may, and with a good one after that.
async fn bad_waker(mc: Client) -> Result<Response, Error> {
    struct Bad;

    impl Wake for Bad {
        #[allow(clippy::panic)]
        fn wake(self: Arc<Self>) {
            panic!("in a waker");
        }
    }

    let mut get = Box::pin(mc.get("k"));
    let bad = Waker::from(Arc::new(Bad));
    assert!(get.as_mut().poll(&mut Context::from_waker(&bad)).is_pending());
    // Until it is answered, which nobody hears of.
    http::sleep(std::time::Duration::from_millis(200)).await;
    text(get.await?)
}

/// What the compiler refuses, done all the same: a call on another thread.
async fn on_a_thread(mc: Client) -> Result<Response, Error> {
    struct Forced(Client);
    // SAFETY: it is not; the module has to find out.
    unsafe impl Send for Forced {}

    let forced = Forced(mc);
    let (sender, result) = oneshot::channel();
    thread::spawn(move || {
        let forced = forced;
        let mut get = pin!(forced.0.get("k"));
        let polled = get.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let answer = match polled {
            Poll::Ready(Err(error)) => error.to_string(),
            Poll::Ready(Ok(_)) => "an answer".to_owned(),
            Poll::Pending => "submitted".to_owned(),
        };
        let _ = sender.send(format!("{answer}, {} servers", forced.0.servers().count()));
    });
    Ok(Response::ok().body(result.await.unwrap_or_default()))
}

/// Items may be read and dropped anywhere.
async fn item_on_a_thread(mc: Client) -> Result<Response, Error> {
    let (sender, result) = oneshot::channel();
    let item = mc.get("k").await?;
    thread::spawn(move || {
        let _ = sender.send(item.map(|item| item.value().len()));
    });
    Ok(Response::ok().body(format!("{:?}", result.await.unwrap_or_default())))
}

/// A call that is neither awaited nor dropped.
async fn forget(mc: Client) -> Result<Response, Error> {
    for _ in 0..100_u8 {
        let mut get = Box::pin(mc.get("k"));
        poll_fn(|cx| Poll::Ready(get.as_mut().poll(cx).is_pending())).await;
        mem::forget(get);
    }
    text(mc.get("k").await?)
}

/// Polls what is over.
async fn again(mc: Client) -> Result<Response, Error> {
    let mut get = pin!(mc.get("k"));
    let first = poll_fn(|cx| get.as_mut().poll(cx)).await?;
    let second = poll_fn(|cx| Poll::Ready(get.as_mut().poll(cx).is_pending())).await;
    assert!(second, "an answer comes once");
    text(first)
}

/// Another executor inside of the task.
async fn nested(mc: Client) -> Result<Response, Error> {
    let local = LocalSet::new();
    let lengths = local.run_until(async move {
        let tasks: Vec<_> = (0..10).map(|_| spawn_local(async move { mc.get("k").await })).collect();
        let mut sum = 0_usize;
        for task in tasks {
            let item = task.await.map_err(|_| Error::Panicked)??;
            sum = sum.saturating_add(item.map_or(0, |item| item.value().len()));
        }
        Ok::<_, Error>(sum)
    });
    Ok(Response::ok().body(lengths.await?.to_string()))
}

/// More at the same time than any bound allows: what is too much is refused at once.
async fn storm(mc: Client) -> Result<Response, Error> {
    let mut gets: Vec<_> = (0..50_000_u32).map(|_| Box::pin(mc.get("k"))).collect();
    let (mut answered, mut busy) = (0_usize, 0_usize);
    poll_fn(|cx| {
        gets.retain_mut(|get| match get.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(result) => {
                match result {
                    Ok(Some(_)) => answered = answered.saturating_add(1),
                    Err(Error::Busy) => busy = busy.saturating_add(1),
                    _ => {}
                }
                false
            }
        });
        if gets.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    let all = answered.saturating_add(busy);
    Ok(Response::ok().body(format!("{all} answered or refused, some of each: {}", answered > 0 && busy > 0)))
}

/// Two tasks for one request. The second one is an error of the caller; the request must end all the same.
fn twice(request: &mut Request, mc: Client) -> Status {
    let _ = http::spawn(request, async move { mc.get("none").await });
    http::spawn(request, async move { mc.get("k").await })
}

fn text(item: Option<Item>) -> Result<Response, Error> {
    Ok(item.map_or(Response::new(HTTPStatus::NOT_FOUND), |item| Response::ok().body(item)))
}
