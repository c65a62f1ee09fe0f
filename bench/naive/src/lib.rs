//! The naive way to memcached from nginx in Rust, for the benchmark: a tokio runtime in a thread of the worker with
//! the `memcache` crate's asynchronous client, whose answers come back through an eventfd.
//!
//! Of `ngx_memcache` it uses what every way needs, the handler around a future and the response; of the memcache module
//! nothing. What has an answer meanwhile is woken together, by one write to the eventfd and one event.
//!
//! Paths as in the other sibling: `/get/item`. The environment's `BENCH_MEMCACHED` names the servers.

use std::env;
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use memcache::exp::{AsyncMemcache, Ttl};
use nginx_sys::{
    eventfd, eventfd_read, eventfd_write, ngx_cycle, ngx_event_actions, ngx_event_t, ngx_get_connection, EFD_CLOEXEC,
    EFD_NONBLOCK,
};
use ngx::core::Status;
use ngx::http::{HTTPStatus, HttpModuleLocationConf, NgxHttpCoreModule, Request};
use ngx_memcache::http::{self, Body, Response};

ngx_memcache::content_handler! {
    module: ngx_http_memcache_naive_module,
    directive: "memcache_naive",
    handler: handle,
}

const PARTS: usize = 10;
/// The largest body that is stored.
const MAX_BODY: usize = 4 * 1024 * 1024;

fn handle(request: &mut Request) -> Status {
    let Some((work, key)) = work(request) else { return HTTPStatus::NOT_FOUND.into() };
    let Some(bridge) = BRIDGE.get_or_init(|| Bridge::new().ok()) else {
        return HTTPStatus::INTERNAL_SERVER_ERROR.into();
    };
    let key = key.to_vec();
    match work {
        b"get" => http::spawn(request, async move {
            match bridge.run(async move { bridge.client.get::<Vec<u8>>(key).await.ok().flatten() }).await {
                Some(value) => Response::ok().body(value),
                None => Response::new(HTTPStatus::NOT_FOUND),
            }
        }),
        b"set" => http::spawn_with_body(request, MAX_BODY, async move |body: &Body| {
            let value = body.bytes().to_vec();
            let stored = bridge.run(async move { bridge.client.set(key, value, Ttl::NEVER).await.is_ok() }).await;
            if stored {
                HTTPStatus::NO_CONTENT
            } else {
                HTTPStatus::BAD_GATEWAY
            }
        }),
        b"multi" => http::spawn(request, async move {
            let keys: Vec<String> = (0..PARTS).map(|part| format!("{}{part}", String::from_utf8_lossy(&key))).collect();
            let asked = keys.clone();
            let mut found = bridge
                .run(async move { bridge.client.get_many::<Vec<u8>, String>(asked).await.unwrap_or_default() })
                .await;
            let page: Vec<u8> = keys.iter().filter_map(|key| found.remove(key)).flatten().collect();
            Response::ok().body(page)
        }),
        _ => Status::from(HTTPStatus::NOT_FOUND),
    }
}

fn work(request: &Request) -> Option<(&[u8], &[u8])> {
    let location = NgxHttpCoreModule::location_conf(request)?.name.as_bytes();
    let path = request.as_ref().uri.as_bytes().strip_prefix(location)?;
    let slash = path.iter().position(|&byte| byte == b'/')?;
    let (work, key) = path.split_at_checked(slash)?;
    Some((work, key.get(1..)?))
}

static BRIDGE: OnceLock<Option<Bridge>> = OnceLock::new();

/// From the event loop to the runtime's thread and back.
struct Bridge {
    runtime: tokio::runtime::Handle,
    client: AsyncMemcache,
    eventfd: i32,
    /// What has an answer and was not woken.
    answered: Mutex<Vec<Waker>>,
}

impl Bridge {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let servers = env::var("BENCH_MEMCACHED")?;
        let servers: Vec<String> = servers.split(' ').map(String::from).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // As many idle connections as the other peers keep.
        let keep = env::var("BENCH_KEEP")?.parse()?;
        let client = AsyncMemcache::builder().max_idle(keep).timeout(Duration::from_secs(1));
        let client = runtime.block_on(client.connect_async(servers))?;
        let handle = runtime.handle().clone();
        thread::Builder::new().spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(Bridge { runtime: handle, client, eventfd: watch_eventfd()?, answered: Mutex::default() })
    }

    /// Runs a future on the runtime's thread.
    async fn run<T: Send + 'static>(&'static self, future: impl Future<Output = T> + Send + 'static) -> T {
        let shared: Arc<Mutex<(Option<T>, Option<Waker>)>> = Arc::new(Mutex::new((None, None)));
        let theirs = shared.clone();
        self.runtime.spawn(async move {
            let answer = future.await;
            let waker = {
                let mut shared = theirs.lock().unwrap_or_else(PoisonError::into_inner);
                shared.0 = Some(answer);
                shared.1.take()
            };
            if let Some(waker) = waker {
                self.wake(waker);
            }
        });
        Waiting(shared).await
    }

    fn wake(&self, waker: Waker) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.push(waker);
        if answered.len() == 1 {
            // SAFETY: the eventfd is open as long as the worker.
            unsafe { eventfd_write(self.eventfd, 1) };
        }
    }
}

struct Waiting<T>(Arc<Mutex<(Option<T>, Option<Waker>)>>);

impl<T> Future for Waiting<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match shared.0.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                shared.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// An eventfd among the sockets of nginx's event loop.
fn watch_eventfd() -> Result<i32, &'static str> {
    // SAFETY: a system call, and nginx's functions on the thread of its event loop, where the handler was called; the
    // connection is never closed.
    unsafe {
        let fd = eventfd(0, (EFD_NONBLOCK | EFD_CLOEXEC) as i32);
        let connection = ngx_get_connection(fd, (*ngx_cycle).log);
        if fd < 0 || connection.is_null() {
            return Err("no eventfd");
        }
        // nginx takes it for one that may be closed when the worker exits.
        (*connection).set_idle(1);
        (*(*connection).read).handler = Some(on_answers);
        (*(*connection).read).log = (*ngx_cycle).log;
        let add = ngx_event_actions.add.ok_or("no event loop")?;
        if add((*connection).read, READ_EVENT, EDGE_TRIGGERED) != 0 {
            return Err("the eventfd cannot be watched");
        }
        Ok(fd)
    }
}

/// `NGX_READ_EVENT` for epoll.
const READ_EVENT: isize = 0x2001;
/// `NGX_CLEAR_EVENT` for epoll.
const EDGE_TRIGGERED: usize = 1 << 31;

unsafe extern "C" fn on_answers(_event: *mut ngx_event_t) {
    let Some(Some(bridge)) = BRIDGE.get() else { return };
    let mut count = 0;
    // SAFETY: the eventfd is open as long as the worker.
    unsafe { eventfd_read(bridge.eventfd, ptr::addr_of_mut!(count)) };
    let answered = std::mem::take(&mut *bridge.answered.lock().unwrap_or_else(PoisonError::into_inner));
    answered.into_iter().for_each(Waker::wake);
}
