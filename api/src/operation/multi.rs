//! Several gets at once.

#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use nginx_sys::{ngx_msec_t, ngx_str_t};

use crate::error::Error;
use crate::ffi::call::Call;
use crate::ffi::handle::Handle;
use crate::ffi::table::borrowed;
use crate::operation::call::Found;
use crate::operation::params::millis;
use crate::sys;

/// Several gets at once: what [`Client::get_multi`](crate::Client::get_multi) returns.
///
/// All are submitted when it is polled first, so that they travel together; it is ready when the last one is answered.
/// When it is dropped before that, those that are not answered are cancelled.
#[must_use = "operations do nothing unless they are awaited"]
pub struct GetMulti<K> {
    client: Handle,
    timeout: ngx_msec_t,
    /// Until they are answered.
    keys: Vec<K>,
    /// In the order of the keys.
    batches: Vec<Batch>,
}

/// Keys that are one call of the module.
enum Batch {
    Asked(Pin<Box<Call<Vec<Found>>>>),
    Answered(Vec<Found>),
}

/// How many keys one call takes.
const MAX_KEYS: usize = sys::NGX_HTTP_MEMCACHE_MAX_KEYS as usize;

impl<K> GetMulti<K> {
    pub(crate) fn new(client: Handle, keys: impl Iterator<Item = K>) -> Self {
        GetMulti { client, timeout: 0, keys: keys.collect(), batches: Vec::new() }
    }

    /// How long to wait for the answers, as [`Operation::timeout`](crate::Operation::timeout) says.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = millis(timeout);
        self
    }
}

impl<K: AsRef<[u8]>> GetMulti<K> {
    fn ask(&self, keys: &[K], cx: &Context<'_>) -> Batch {
        let keys: Vec<ngx_str_t> = keys.iter().map(|key| borrowed(key.as_ref())).collect();
        let mut call = Box::pin(Call::new(self.client));
        match call.as_mut().submit_many(cx, &keys, self.timeout) {
            Ok(()) => Batch::Asked(call),
            Err(error) => Batch::Answered(keys.iter().map(|_| Err(error.clone())).collect()),
        }
    }
}

/// Keys are never pinned, and calls are pinned in their boxes.
impl<K> Unpin for GetMulti<K> {}

impl<K: AsRef<[u8]>> Future for GetMulti<K> {
    type Output = Vec<Found>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.batches.is_empty() {
            this.batches = this.keys.chunks(MAX_KEYS).map(|keys| this.ask(keys, cx)).collect();
        }

        let mut pending = false;
        for batch in &mut this.batches {
            if let Batch::Asked(call) = batch {
                match call.as_mut().poll(cx) {
                    Poll::Ready(found) => *batch = Batch::Answered(found),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            return Poll::Pending;
        }
        let answered = |batch| match batch {
            Batch::Answered(found) => found,
            Batch::Asked(_) => Vec::new(),
        };
        let mut batches = std::mem::take(&mut this.batches).into_iter().map(answered);
        let first = batches.next().unwrap_or_default();
        let mut all = batches.fold(first, |mut all, more| {
            all.extend(more);
            all
        });
        for (found, key) in all.iter_mut().zip(std::mem::take(&mut this.keys)) {
            if let Err(Error::InvalidKey { len, .. }) = found {
                *len = Some(key.as_ref().len());
            }
        }
        Poll::Ready(all)
    }
}
