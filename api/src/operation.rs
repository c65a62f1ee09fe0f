//! Operations: what [`Client`](crate::Client)'s methods return, to be adjusted and awaited.

use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::error::Error;
use crate::ffi::call::Call;
use crate::ffi::handle::Handle;
use crate::operation::call::Reply;
use crate::operation::ttl::Ttl;
use crate::operation::value::IntoValue;
use crate::sys;

pub(crate) mod call;
pub(crate) mod cas;
pub(crate) mod item;
pub mod kind;
pub(crate) mod lease;
pub(crate) mod multi;
pub(crate) mod origin;
pub(crate) mod params;
pub(crate) mod ttl;
pub(crate) mod value;
pub(crate) mod with_origin;

use kind::{HasFlags, HasTtl, Kind};
use params::{millis, Params, MAX_RELATIVE};

pin_project! {
    /// An operation on one key: adjust it, and `.await` it.
    ///
    /// It does nothing before it is first polled. Then it is submitted, and key and value are not needed any more. If it is dropped
    /// before its answer has come, it is cancelled: memcached may carry it out or not.
    ///
    /// `O` is one of the kinds in [`kind`], which say what the answer is.
    #[must_use = "operations do nothing unless they are awaited"]
    pub struct Operation<'v, K, O> {
        #[pin]
        stage: Stage<'v, K>,
        kind: PhantomData<O>,
    }
}

pin_project! {
    /// What is asked, until it was, and then its answer: an operation is never larger than the larger of them.
    #[project = StageProjection]
    #[project_replace = StageReplaced]
    enum Stage<'v, K> {
        Prepared { prepared: Prepared<'v, K> },
        Submitted { #[pin] call: Call<Result<Reply, Error>> },
    }
}

struct Prepared<'v, K> {
    client: Handle,
    key: K,
    value: Result<Cow<'v, [u8]>, Error>,
    params: Params,
}

impl<'v, K> Operation<'v, K, ()> {
    pub(crate) fn new<O>(client: Handle, number: u32, key: K) -> Operation<'v, K, O> {
        let prepared = Prepared { client, key, value: Ok(Cow::Borrowed(&[][..])), params: Params::new(number) };
        Operation { stage: Stage::Prepared { prepared }, kind: PhantomData }
    }
}

impl<'v, K, O> Operation<'v, K, O> {
    pub(crate) fn with_value(self, value: impl IntoValue<'v>) -> Self {
        self.prepare(|prepared| {
            prepared.value = value.into_value().map(|(bytes, flags)| {
                prepared.params.flags = flags;
                bytes
            });
        })
    }

    pub(crate) fn with_ttl(self, ttl: Ttl) -> Self {
        self.set(|params| params.ttl = ttl.as_secs())
    }

    /// A time that may be none.
    pub(crate) fn with_secs(self, time: Duration) -> Self {
        self.set(|params| params.ttl = whole_secs(time))
    }

    pub(crate) fn with_delta(self, delta: u64) -> Self {
        self.set(|params| params.delta = delta)
    }

    pub(crate) fn on_server(self, index: usize) -> Self {
        self.set(|params| params.server = index)
    }

    /// How long to wait for the answer, in whole milliseconds, at least one. The time covers waiting in the queue, connecting, and
    /// the exchange. Without this it is `memcache_timeout`, and up to ten times that while large values come or go on the
    /// operation's connection.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.set(|params| params.timeout = millis(timeout))
    }

    fn set(self, change: impl FnOnce(&mut Params)) -> Self {
        self.prepare(|prepared| change(&mut prepared.params))
    }

    /// Changes what is asked. Once it was, there is nobody to do so: the operation is pinned then.
    fn prepare(mut self, change: impl FnOnce(&mut Prepared<'v, K>)) -> Self {
        if let Stage::Prepared { prepared } = &mut self.stage {
            change(prepared);
        }
        self
    }

    fn with_kind<P>(self) -> Operation<'v, K, P> {
        Operation { stage: self.stage, kind: PhantomData }
    }
}

impl<K, O: HasTtl> Operation<'_, K, O> {
    /// How long the item lives from now on; without this, it does not expire.
    pub fn ttl(self, ttl: impl Into<Ttl>) -> Self {
        self.with_ttl(ttl.into())
    }
}

impl<K, O: HasFlags> Operation<'_, K, O> {
    /// What is stored with the value, instead of the flags of its encoding.
    pub fn flags(self, flags: u32) -> Self {
        self.set(|params| params.flags = flags)
    }
}

impl<'v, K> Operation<'v, K, kind::Set> {
    /// Stores only if the item is still the version that [`Item::cas`](crate::Item::cas) said: compare-and-swap.
    pub fn cas(self, version: u64) -> Operation<'v, K, kind::Swap> {
        self.set(|params| params.cas = one_version(version)).with_kind()
    }
}

impl<'v, K> Operation<'v, K, kind::Delete> {
    /// Deletes only if the item is still the version that [`Item::cas`](crate::Item::cas) said.
    pub fn cas(self, version: u64) -> Operation<'v, K, kind::Swap> {
        self.set(|params| params.cas = one_version(version)).with_kind()
    }
}

impl<'v, K> Operation<'v, K, kind::Extend> {
    /// Extends only if the item is still the version that [`Item::cas`](crate::Item::cas) said.
    pub fn cas(self, version: u64) -> Operation<'v, K, kind::Swap> {
        self.set(|params| params.cas = one_version(version)).with_kind()
    }
}

impl<K> Operation<'_, K, kind::Lease> {
    /// Where the lease is lost and there is no old item, waits until the item is made, or the lease is won after all. When
    /// [`timeout`](Operation::timeout) has passed, the lease is [`Lost`](crate::Lease::Lost) without an item: choose that time by
    /// how long it takes to make one.
    pub fn wait(self) -> Self {
        self.set(|params| params.options |= sys::NGX_HTTP_MEMCACHE_WAIT)
    }

    /// Also appoints a caller to make an item that has less than this time left to live: whole seconds, rounded up, at most 30
    /// days. Without this, only an item that is missing or stale is made.
    ///
    /// An item whose value is empty is taken for missing while it is made anew.
    pub fn recache(self, time: Duration) -> Self {
        self.set(|params| params.recache = whole_secs(time).min(MAX_RELATIVE))
    }
}

impl<'v, K> Operation<'v, K, kind::Invalidate> {
    /// How long the stale item is kept; without this, or with [`NEVER`](Ttl::NEVER), as long as it would have lived.
    pub fn ttl(self, ttl: impl Into<Ttl>) -> Self {
        self.with_ttl(ttl.into())
    }

    /// Marks only if the item is still the version that [`Item::cas`](crate::Item::cas) said.
    pub fn cas(self, version: u64) -> Operation<'v, K, kind::Swap> {
        self.set(|params| params.cas = one_version(version)).with_kind()
    }
}

impl<K> Operation<'_, K, kind::FlushAll> {
    /// Waits so long before it forgets them: whole seconds, rounded up. The module refuses more than 30 days, which
    /// memcached cannot be told.
    pub fn delay(self, time: Duration) -> Self {
        self.with_secs(time)
    }
}

impl<K> Operation<'_, K, kind::Count> {
    /// Creates a missing item with this number, instead of answering that there is none.
    pub fn initial(self, number: u64) -> Self {
        self.set(|params| {
            params.options |= sys::NGX_HTTP_MEMCACHE_INITIAL;
            params.initial = number;
        })
    }
}

impl<'v, K> Operation<'v, K, kind::Count> {
    /// Counts only if the item is still the version that [`Item::cas`](crate::Item::cas) said. With an
    /// [`initial`](Operation::initial) number this is refused: a missing item has no version.
    pub fn cas(self, version: u64) -> Operation<'v, K, kind::CountOne> {
        self.set(|params| params.cas = one_version(version)).with_kind()
    }
}

impl<K: AsRef<[u8]>, O: Kind> Future for Operation<'_, K, O> {
    type Output = Result<O::Output, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(O::output(ready!(self.poll_reply(cx))?))
    }
}

impl<K: AsRef<[u8]>, O> Operation<'_, K, O> {
    pub(crate) fn poll_reply(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Reply, Error>> {
        let mut stage = self.project().stage;
        if let StageProjection::Prepared { prepared } = stage.as_mut().project() {
            let call = Call::new(prepared.client);
            let before = stage.as_mut().project_replace(Stage::Submitted { call });
            if let (StageReplaced::Prepared { prepared }, StageProjection::Submitted { call }) =
                (before, stage.as_mut().project())
            {
                let Prepared { key, value, params, .. } = prepared;
                call.submit(cx, &mut params.op(key.as_ref(), &value?))?;
            }
        }
        match stage.project() {
            StageProjection::Submitted { call } => call.poll(cx),
            StageProjection::Prepared { .. } => Poll::Pending,
        }
    }
}

/// Whole seconds, rounded up; 0 for none.
fn whole_secs(time: Duration) -> u32 {
    if time.is_zero() {
        0
    } else {
        Ttl::from(time).as_secs()
    }
}

/// memcached counts versions from 1, and the header's 0 is "whatever version": a 0 from outside must match nothing.
fn one_version(version: u64) -> u64 {
    if version == 0 {
        u64::MAX
    } else {
        version
    }
}
