//! Calls from other threads.

use std::fs;
use std::future::Future;
use std::pin::{pin, Pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use ngx::core::Status;
use ngx::http::{HTTPStatus, Request};
use ngx_memcache::http::{self, Respond, Response};
use ngx_memcache::{Client, Error, Remote};
use tokio::sync::{mpsc, oneshot};

use crate::args::Args;

/// - `remote?key=&threads=&n=`: counts the key `n` times in each of some threads. Says how often that was done.
/// - `remote_get?key=`: the item, which another thread has got, and drops.
/// - `remote_busy?key=&n=&queue=`: that many gets at the same time in one thread, with room for `queue`. Says how many
///   were answered, and how many refused.
/// - `remote_drop?key=&n=`: begins as many gets, and drops them.
/// - `remote_panic?when=`: `call`, `future`, or `drop`: what panics.
/// - `remote_loop?key=&file=`: counts the key in a thread for as long as it works, and writes to the file why it ended.
/// - `remote_wait?key=&file=`: a set in another thread. Writes to the file what came of it.
/// - `remote_elsewhere`: what needs no client, on another thread.
pub fn handle(request: &mut Request, mc: Client, what: &str) -> Option<Status> {
    let args = Args::of(request);
    let remote = match mc.remote() {
        Ok(remote) => remote,
        Err(error) => return Some(error.respond(request)),
    };
    Some(match what {
        "remote" => http::spawn(request, count(remote, args)),
        "remote_get" => http::spawn(request, get(remote, args)),
        "remote_busy" => http::spawn(request, busy(remote, args)),
        "remote_drop" => drop_all(remote, &args).respond(request),
        "remote_panic" => http::spawn(request, panics(remote, args)),
        "remote_loop" => count_on(remote, &args).respond(request),
        "remote_wait" => wait(remote, &args).respond(request),
        "remote_elsewhere" => elsewhere().respond(request),
        _ => return None,
    })
}

async fn count(remote: Remote, args: Args) -> Response {
    let (threads, n) = (args.number("threads").unwrap_or(1), args.number("n").unwrap_or(1));
    let (sender, mut results) = mpsc::unbounded_channel();
    for _ in 0..threads {
        let (remote, key, sender) = (remote.clone(), args.key(), sender.clone());
        thread::spawn(move || {
            for _ in 0..n {
                let key = key.clone();
                let counted = block_on(remote.with(|mc| mc.incr(key, 1).initial(1)));
                let _ = sender.send(counted.is_ok());
            }
        });
    }
    drop(sender);
    let mut done = 0_u64;
    // Woken by other threads.
    while let Some(counted) = results.recv().await {
        done = done.saturating_add(counted.into());
    }
    Response::ok().body(done.to_string())
}

async fn get(remote: Remote, args: Args) -> Result<Response, Error> {
    let (sender, result) = oneshot::channel();
    thread::spawn(move || {
        let item = block_on(remote.with(move |mc| mc.get(args.key())));
        let _ = sender.send(item.map(|item| item.map(|item| item.value().to_vec())));
    });
    let value = result.await.unwrap_or(Err(Error::Panicked))?;
    Ok(value.map_or(Response::new(HTTPStatus::NOT_FOUND), |value| Response::ok().body(value)))
}

async fn busy(remote: Remote, args: Args) -> Response {
    let remote = remote.queue(args.number("queue").unwrap_or(1).try_into().unwrap_or(usize::MAX));
    let (sender, result) = oneshot::channel();
    thread::spawn(move || {
        let mut calls: Vec<_> = (0..args.number("n").unwrap_or(1))
            .map(|_| {
                let (remote, key) = (remote.clone(), args.key());
                Box::pin(async move { remote.with(|mc| mc.get(key)).await })
            })
            .collect();
        let mut results = Vec::new();
        block_on(std::future::poll_fn(|cx| {
            calls.retain_mut(|call| match call.as_mut().poll(cx) {
                Poll::Ready(result) => {
                    results.push(result);
                    false
                }
                Poll::Pending => true,
            });
            if calls.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        let answered = results.iter().filter(|result| result.is_ok()).count();
        let refused = results.iter().filter(|result| matches!(result, Err(Error::Busy))).count();
        let _ = sender.send(format!("{answered} answered, {refused} refused"));
    });
    Response::ok().body(result.await.unwrap_or_default())
}

fn drop_all(remote: Remote, args: &Args) -> HTTPStatus {
    let (key, n) = (args.key(), args.number("n").unwrap_or(1));
    thread::spawn(move || {
        for _ in 0..n {
            let (sender, begun) = oneshot::channel();
            let key = key.clone();
            let mut call = Box::pin(remote.with(|mc| {
                let _ = sender.send(());
                mc.get(key)
            }));
            let _ = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let _ = block_on(begun);
            drop(call);
        }
    });
    HTTPStatus::ACCEPTED
}

async fn panics(remote: Remote, args: Args) -> Response {
    let when = args.text("when").unwrap_or_default().to_owned();
    let (sender, result) = oneshot::channel();
    thread::spawn(move || {
        let result: Result<(), Error> = block_on(remote.with(move |mc| panicking(mc, when)));
        let _ = sender.send(result);
    });
    let text = match result.await {
        Ok(Ok(())) => "done".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the thread panicked".to_owned(),
    };
    Response::ok().body(text)
}

/// Panics in the function, in the future that it returns, or where that is dropped.
#[allow(clippy::panic)]
fn panicking(mc: Client, when: String) -> Pin<Box<dyn Future<Output = Result<(), Error>>>> {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }

    assert!(when != "call", "in a call");
    Box::pin(async move {
        let _bomb = (when == "drop").then(|| Bomb);
        mc.get("k").await?;
        assert!(when != "future", "in a future");
        Ok(())
    })
}

fn count_on(remote: Remote, args: &Args) -> HTTPStatus {
    let (key, file) = (args.key(), args.text("file").unwrap_or_default().to_owned());
    thread::spawn(move || {
        let error = loop {
            let key = key.clone();
            match block_on(remote.with(|mc| mc.incr(key, 1).initial(1))) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        let _ = fs::write(file, error.to_string());
    });
    HTTPStatus::ACCEPTED
}

fn wait(remote: Remote, args: &Args) -> HTTPStatus {
    let (key, file) = (args.key(), args.text("file").unwrap_or_default().to_owned());
    thread::spawn(move || {
        let result = block_on(remote.with(|mc| mc.set(key, "set")));
        let text = match result {
            Ok(()) => "done".to_owned(),
            Err(error) => format!("{error}, maybe applied: {}", error.maybe_applied()),
        };
        let _ = fs::write(file, text);
    });
    HTTPStatus::ACCEPTED
}

/// What needs no client, on a thread that is not the event loop's.
fn elsewhere() -> Response {
    let thread = thread::spawn(|| {
        let refused = http::spawn_detached(async {}).is_err();
        block_on(http::sleep(std::time::Duration::from_secs(1000)));
        refused
    });
    Response::ok().body(if thread.join().unwrap_or(false) { "refused" } else { "not refused" })
}

/// A thread that blocks, for an executor.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
