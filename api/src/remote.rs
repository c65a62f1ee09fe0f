//! The worker's client for other threads.

#![forbid(unsafe_code)]

use std::fmt;
use std::future::{poll_fn, Future};
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use tokio::sync::oneshot;

use crate::client::Client;
use crate::error::Error;
use crate::event_loop::notify;
use crate::http;
use crate::nginx::bound::Bound;
use crate::nginx::cycle;

/// The worker's client for other threads: the same client, with the same connections, for code that runs on a tokio
/// runtime in the worker, in any other executor, or in a thread that blocks.
///
/// [`Client::remote`] makes one on the event loop; it can be cloned, sent, and used anywhere.
///
/// ```no_run
/// use ngx_memcache::{Client, Error, Seconds};
///
/// fn refresh(mc: &Client, runtime: &tokio::runtime::Handle) -> Result<(), Error> {
///     let remote = mc.remote()?;
///     runtime.spawn(async move {
///         let flags = remote.with(|mc| mc.get("flags")).await?;
///         // Work that takes its time.
///         remote.with(|mc| mc.set("rules", "...").ttl(60.secs())).await
///     });
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Remote {
    client: Bound<Client>,
    limit: usize,
    pending: Arc<AtomicUsize>,
}

/// Calls that a [`Remote`] and its clones may have under way at the same time, if nothing else is said.
pub const REMOTE_QUEUE: usize = 1024;

impl Client {
    /// This client for other threads. See [`Remote`].
    ///
    /// Fails with [`Error::NotAvailable`] if the system has no file descriptor left to wake the event loop with: the
    /// first `remote()` of a sibling in a worker opens one.
    pub fn remote(&self) -> Result<Remote, Error> {
        notify::start()?;
        Ok(Remote { client: Bound::new(*self), limit: REMOTE_QUEUE, pending: Arc::default() })
    }
}

impl Remote {
    /// A remote for the same client that may have up to `limit` calls under way at the same time; without this, it is
    /// [`REMOTE_QUEUE`]. The limit is for it and its clones together. The remote that it is made from has its own.
    pub fn queue(&self, limit: usize) -> Self {
        Remote { client: self.client, limit, pending: Arc::default() }
    }

    /// Calls a function with the client, on the event loop, and waits for the future that it returns, which may be an
    /// operation, or several in an async block. The future stays on the event loop; its result comes back.
    ///
    /// The call is sent off when this is first polled, and goes on without being polled again. If this is dropped before the
    /// result has come, the event loop drops the other future soon after.
    ///
    /// Fails, as the future does, with
    ///
    /// - [`Error::Busy`] at once, if as many calls as the [queue](Remote::queue) holds are under way;
    /// - [`Error::Shutdown`] if the worker exits: from the moment that it has been told to, nothing new is begun, and
    ///   what is under way then has its deadline to finish;
    /// - [`Error::Panicked`] if the function or its future did; the error log has the text.
    ///
    /// ```no_run
    /// # use ngx_memcache::{Error, Freshness, Remote, Seconds};
    /// # async fn render() -> Result<String, Error> { Ok(String::new()) }
    /// # async fn example(remote: Remote) -> Result<(), Error> {
    /// let item = remote.with(|mc| mc.get("cow")).await?;
    ///
    /// let items = remote.with(|mc| async move { Ok::<_, Error>(mc.get_multi(["a", "b"]).await) }).await?;
    /// # Ok(()) }
    /// ```
    pub async fn with<T, E, F>(&self, call: impl FnOnce(Client) -> F + Send + 'static) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>> + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let ticket = Ticket::take(self)?;
        let state = Arc::new(AtomicU8::new(QUEUED));
        let (sender, receiver) = oneshot::channel();

        let (client, on_loop) = (self.client, state.clone());
        notify::run(Box::new(move || start(client, call, sender, ticket, on_loop)))?;

        match receiver.await {
            Ok(result) => result,
            Err(_) => Err(match state.load(Ordering::Acquire) {
                QUEUED => Error::Shutdown { maybe_applied: false },
                REFUSED => Error::Busy,
                PANICKED => Error::Panicked,
                _ => Error::Shutdown { maybe_applied: true },
            }
            .into()),
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("limit", &self.limit).field("pending", &self.pending).finish_non_exhaustive()
    }
}

/// What has become of a call: nothing yet.
const QUEUED: u8 = 0;
const STARTED: u8 = 1;
/// There are too many detached futures.
const REFUSED: u8 = 2;
const PANICKED: u8 = 3;

/// On the event loop.
fn start<T, E, F>(
    client: Bound<Client>,
    call: impl FnOnce(Client) -> F + 'static,
    mut sender: oneshot::Sender<Result<T, E>>,
    ticket: Ticket,
    state: Arc<AtomicU8>,
) where
    F: Future<Output = Result<T, E>> + 'static,
    T: 'static,
    E: 'static,
{
    let Some(client) = client.get().filter(|_| !cycle::is_exiting() && !sender.is_closed()) else { return };
    // Until it begins to run.
    state.store(REFUSED, Ordering::Release);

    let _ = http::spawn_detached(async move {
        state.store(STARTED, Ordering::Release);
        let _ticket = ticket;
        let _note = NotePanic(&state);
        let mut future = pin!(call(client));
        let result = poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => sender.poll_closed(cx).map(|()| None),
        })
        .await;
        if let Some(result) = result {
            // Nobody waits any more otherwise.
            let _ = sender.send(result);
        }
    });
}

/// One of the calls that a remote may have under way.
struct Ticket(Arc<AtomicUsize>);

impl Ticket {
    fn take(remote: &Remote) -> Result<Self, Error> {
        let more = |pending: usize| Some(pending.saturating_add(1)).filter(|&pending| pending <= remote.limit);
        match remote.pending.fetch_update(Ordering::AcqRel, Ordering::Acquire, more) {
            Ok(_) => Ok(Ticket(remote.pending.clone())),
            Err(_) => Err(Error::Busy),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Notes why the result does not come, before the sender is dropped.
struct NotePanic<'s>(&'s AtomicU8);

impl Drop for NotePanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(PANICKED, Ordering::Release);
        }
    }
}
