//! Content handlers.

use std::future::{poll_fn, Future};
use std::pin::{pin, Pin};
use std::task::{Context, Poll};
use std::time::Duration;

use ngx::core::Status;
use ngx::http::{HTTPStatus, Request};
use ngx_memcache::http::{self, Body, Respond, Response};
use ngx_memcache::{Client, Error, Item, Server};
use tokio::sync::oneshot;

use crate::args::Args;
use crate::{fetch, loops, misuse, remote, responses};

/// - `get?key=`: the item.
/// - `set?key=&value=`.
/// - `overlap?key=&value=`: a get, a set, and another get, each submitted before the one before it was answered. Says
///   what the gets have found.
/// - `body?key=`: stores the request's body, and answers with its length.
/// - `subset?key=&value=&weight=`: sets an item on one of the servers with at least that weight, and tells which.
/// - `named?cluster=&key=&value=`: sets an item in that memcache_cluster.
/// - `disable?key=`, `enable?key=`: takes the key's server out of use, or back.
/// - `sleep?ms=`.
/// - `late?ms=&timeout=`: which of the two is over first.
/// - `detached?key=&ms=`: counts the key later, and answers at once.
/// - `thread?ms=`: waits for a thread, which sleeps.
/// - `heartbeat?key=`: counts the key, again and again, until the worker exits; and then `KEY:end`. With `&unaware=1` it
///   does not ask whether the worker exits.
/// - `bounded?key=&ms=`: counts the key, detached, when a get of `KEY:in` is answered, or `KEY:late` after the time.
/// - `fetch...`: see [`fetch`].
/// - `remote...`: see [`remote`].
/// - `loop_...`: see [`loops`].
/// - `response_...`: see [`responses`].
/// - all others: see [`misuse`].
pub fn handle(request: &mut Request, what: &str) -> Status {
    let args = Args::of(request);
    let mc = match Client::from_request(request) {
        Ok(mc) => mc,
        Err(error) => return error.respond(request),
    };
    match what {
        "get" => http::spawn(request, mc.get(args.key())),
        "set" => http::spawn(request, async move {
            mc.set(args.key(), args.text("value").unwrap_or_default()).await?;
            Ok::<_, Error>(HTTPStatus::NO_CONTENT)
        }),
        "body" => http::spawn_with_body(request, mc.max_value(), async move |body: &Body| {
            mc.set(args.key(), body.bytes()).await?;
            Ok::<_, Error>(Response::ok().body(format!("{} bytes", body.bytes().len())))
        }),
        "overlap" => http::spawn(request, overlap(mc, args)),
        "subset" => http::spawn(request, async move {
            let weight = args.number("weight").unwrap_or(0);
            let mine = mc.subset(|server| u64::from(server.weight()) >= weight)?;
            let home = mine.server_of(args.key())?;
            mine.set(args.key(), args.text("value").unwrap_or_default()).await?;
            let all: Vec<String> = mine.servers().map(|server| server.address().into_owned()).collect();
            let text = format!("{} of {} {}", home.address(), all.join(" "), home.version().await?);
            Ok::<_, Error>(Response::ok().body(text))
        }),
        "named" => http::spawn(request, async move {
            let named = Client::named(args.text("cluster").unwrap_or_default())?;
            named.set(args.key(), args.text("value").unwrap_or_default()).await?;
            Ok::<_, Error>(HTTPStatus::NO_CONTENT)
        }),
        "disable" | "enable" => {
            let switch = |server: Server| if what == "disable" { server.disable() } else { server.enable() };
            let server = mc.server_of(args.key());
            server.and_then(switch).map(|()| HTTPStatus::NO_CONTENT).respond(request)
        }
        "sleep" => http::spawn(request, async move {
            http::sleep(Duration::from_millis(args.number("ms").unwrap_or(0))).await;
            HTTPStatus::NO_CONTENT
        }),
        "late" => http::spawn(request, async move {
            let millis = |name| Duration::from_millis(args.number(name).unwrap_or(0));
            let done = http::timeout(millis("timeout"), http::sleep(millis("ms"))).await;
            Response::ok().body(if done.is_some() { "done" } else { "timed out" })
        }),
        "detached" => detached(mc, args).respond(request),
        "thread" => http::spawn(request, on_a_thread(args)),
        "heartbeat" => heartbeat(mc, args).respond(request),
        "bounded" => bounded(mc, args).respond(request),
        _ => fetch::handle(request, mc, what)
            .or_else(|| remote::handle(request, mc, what))
            .or_else(|| loops::handle(request, mc, what))
            .or_else(|| responses::handle(request, what))
            .unwrap_or_else(|| misuse::handle(request, mc, what)),
    }
}

async fn overlap(mc: Client, args: Args) -> Result<Response, Error> {
    let key = args.key();
    let mut before = pin!(mc.get(&key));
    let mut set = pin!(mc.set(&key, args.text("value").unwrap_or_default()));
    let mut after = pin!(mc.get(&key));
    let (mut first, mut stored, mut second) = (None, None, None);
    poll_fn(|cx| {
        let ready = poll_once(before.as_mut(), &mut first, cx)
            & poll_once(set.as_mut(), &mut stored, cx)
            & poll_once(after.as_mut(), &mut second, cx);
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    stored.transpose()?;
    let text = |found: Option<Result<Option<Item>, Error>>| -> Result<String, Error> {
        let item = found.transpose()?.flatten();
        item.map_or(Ok("-".into()), |item| item.decode())
    };
    Ok(Response::ok().body(format!("{} {}", text(first)?, text(second)?)))
}

/// Polls what is not ready yet. Says whether it is.
fn poll_once<F: Future>(future: Pin<&mut F>, output: &mut Option<F::Output>, cx: &mut Context<'_>) -> bool {
    if output.is_none() {
        if let Poll::Ready(ready) = future.poll(cx) {
            *output = Some(ready);
        }
    }
    output.is_some()
}

fn detached(mc: Client, args: Args) -> Result<HTTPStatus, Error> {
    http::spawn_detached(async move {
        http::sleep(Duration::from_millis(args.number("ms").unwrap_or(0))).await;
        let _ = mc.incr(args.key(), 1).initial(1).await;
    })?;
    Ok(HTTPStatus::ACCEPTED)
}

async fn on_a_thread(args: Args) -> Response {
    let (sender, done) = oneshot::channel();
    let time = Duration::from_millis(args.number("ms").unwrap_or(0));
    std::thread::spawn(move || {
        std::thread::sleep(time);
        let _ = sender.send("from a thread");
    });
    Response::ok().body(done.await.unwrap_or("nothing"))
}

fn heartbeat(mc: Client, args: Args) -> Result<HTTPStatus, Error> {
    let unaware = args.number("unaware").is_some();
    http::spawn_detached(async move {
        while unaware || !http::exiting() {
            let _ = mc.incr(args.key(), 1).initial(1).await;
            http::sleep(Duration::from_secs(3600)).await;
        }
        let _ = mc.incr(format!("{}:end", args.key()), 1).initial(1).await;
    })?;
    Ok(HTTPStatus::ACCEPTED)
}

fn bounded(mc: Client, args: Args) -> Result<HTTPStatus, Error> {
    http::spawn_detached(async move {
        let time = Duration::from_millis(args.number("ms").unwrap_or(0));
        let end = match http::timeout(time, mc.get(format!("{}:in", args.key()))).await {
            Some(_) => args.key(),
            None => format!("{}:late", args.key()),
        };
        let _ = mc.incr(end, 1).initial(1).await;
    })?;
    Ok(HTTPStatus::ACCEPTED)
}
