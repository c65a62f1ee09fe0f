//! Operations: what [`Client`](crate::Client)'s methods return, to be adjusted and awaited.

use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use nginx_sys::{ngx_msec_t, ngx_str_t};

use crate::call::{self, Call};
use crate::sys;
use crate::table::{Handle, Table};
use crate::value::IntoValue;
use crate::{Error, Ttl};

pub mod kind;

use kind::{HasFlags, HasTtl, Kind};

/// An operation on one key: adjust it, and `.await` it.
///
/// It does nothing before it is polled first; then it is submitted, and key and value are not needed any more. When it
/// is dropped before its answer came, it is cancelled: memcached may carry it out or not.
///
/// `O` is one of the kinds in [`kind`], which say what the answer is.
#[must_use = "operations do nothing unless they are awaited"]
pub struct Operation<'v, K, O> {
    key: K,
    value: Result<Cow<'v, [u8]>, Error>,
    op: sys::ngx_http_memcache_op_t,
    call: Call,
    kind: PhantomData<O>,
}

impl<'v, K, O> Operation<'v, K, O> {
    pub(crate) fn new(table: Table, client: Handle, number: u32, key: K) -> Self {
        let value = Ok(Cow::Borrowed(&[][..]));
        Operation { key, value, op: call::operation(number), call: Call::new(table, client), kind: PhantomData }
    }

    pub(crate) fn with_value(mut self, value: impl IntoValue<'v>) -> Self {
        self.value = value.into_value().map(|(bytes, flags)| {
            self.op.flags = flags;
            bytes
        });
        self
    }

    pub(crate) fn with_ttl(mut self, ttl: Ttl) -> Self {
        self.op.ttl = ttl.as_secs();
        self
    }

    /// A time that may be none.
    pub(crate) fn with_secs(mut self, time: Duration) -> Self {
        self.op.ttl = whole_secs(time);
        self
    }

    pub(crate) fn with_delta(mut self, delta: u64) -> Self {
        self.op.delta = delta;
        self
    }

    pub(crate) fn on_server(mut self, index: usize) -> Self {
        self.op.server = index;
        self
    }

    /// How long to wait for the answer, in whole milliseconds, at least one; without this, `memcache_timeout`. The
    /// time covers waiting in the queue, connecting, and the exchange.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.set_timeout(timeout);
        self
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.op.timeout = ngx_msec_t::try_from(timeout.as_millis()).unwrap_or(ngx_msec_t::MAX).max(1);
    }

    fn with_kind<P>(self) -> Operation<'v, K, P> {
        Operation { key: self.key, value: self.value, op: self.op, call: self.call, kind: PhantomData }
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
    pub fn flags(mut self, flags: u32) -> Self {
        self.op.flags = flags;
        self
    }
}

impl<'v, K> Operation<'v, K, kind::Set> {
    /// Stores only if the item is still the version that [`Item::cas`](crate::Item::cas) said: compare-and-swap.
    pub fn cas(mut self, version: u64) -> Operation<'v, K, kind::Swap> {
        self.op.cas = one_version(version);
        self.with_kind()
    }
}

impl<'v, K> Operation<'v, K, kind::Delete> {
    /// Deletes only if the item is still the version that [`Item::cas`](crate::Item::cas) said.
    pub fn cas(mut self, version: u64) -> Operation<'v, K, kind::Swap> {
        self.op.cas = one_version(version);
        self.with_kind()
    }
}

impl<K> Operation<'_, K, kind::Lease> {
    /// Instead of losing with nothing to use, waits until somebody else has made the item, or does not and the lease
    /// is won after all. When [`timeout`](Operation::timeout) has passed, it is [`Lost`](crate::Lease::Lost) without an
    /// item: choose it by how long it takes to make one.
    pub fn wait(mut self) -> Self {
        self.op.options |= sys::NGX_HTTP_MEMCACHE_WAIT;
        self
    }

    /// Appoints somebody to make an item that has less than this left to live, before it expires; without this, only
    /// one that is missing or stale. Whole seconds, rounded up, at most 30 days.
    ///
    /// An item whose value is empty is taken for missing while it is made anew.
    pub fn recache(mut self, time: Duration) -> Self {
        self.op.recache = whole_secs(time).min(call::MAX_RELATIVE);
        self
    }
}

impl<'v, K> Operation<'v, K, kind::Invalidate> {
    /// How long the stale item is kept; without this, or with [`NEVER`](Ttl::NEVER), as long as it would have lived.
    pub fn ttl(self, ttl: impl Into<Ttl>) -> Self {
        self.with_ttl(ttl.into())
    }

    /// Marks only if the item is still the version that [`Item::cas`](crate::Item::cas) said.
    pub fn cas(mut self, version: u64) -> Operation<'v, K, kind::Swap> {
        self.op.cas = one_version(version);
        self.with_kind()
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
    pub fn initial(mut self, number: u64) -> Self {
        self.op.options |= sys::NGX_HTTP_MEMCACHE_INITIAL;
        self.op.initial = number;
        self
    }
}

impl<K: AsRef<[u8]>, O: Kind> Future for Operation<'_, K, O> {
    type Output = Result<O::Output, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: only the call is pinned; it is not moved here, and nothing else moves the operation or drops it
        // otherwise. The other fields are never handed out pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let call = unsafe { Pin::new_unchecked(&mut this.call) };

        let reply = ready!(call.poll(cx, || {
            this.op.key = borrowed(this.key.as_ref());
            this.op.value = borrowed(this.value.as_ref().map_err(Error::clone)?);
            Ok(&mut this.op)
        }))?;
        Poll::Ready(O::output(reply))
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

/// The bytes as nginx's string; nothing writes to it.
pub(crate) fn borrowed(bytes: &[u8]) -> ngx_str_t {
    ngx_str_t { len: bytes.len(), data: bytes.as_ptr().cast_mut() }
}
