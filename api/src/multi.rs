//! Several gets at once.

use std::future::Future;
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::operation::{kind, Operation};
use crate::{Error, Item};

/// Several gets at once: what [`Client::get_multi`](crate::Client::get_multi) returns.
///
/// All are submitted when it is polled first, so that they travel together; it is ready when the last one is answered.
#[must_use = "operations do nothing unless they are awaited"]
pub struct GetMulti<K> {
    gets: Pin<Box<[Operation<'static, K, kind::Get>]>>,
    results: Vec<Option<Found>>,
}

type Found = Result<Option<Item>, Error>;

impl<K> GetMulti<K> {
    pub(crate) fn new(gets: impl Iterator<Item = Operation<'static, K, kind::Get>>) -> Self {
        let gets = Box::into_pin(gets.collect::<Box<[_]>>());
        let results = iter::repeat_with(|| None).take(gets.len()).collect();
        GetMulti { gets, results }
    }

    /// How long to wait for the answers, as [`Operation::timeout`] says.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        for get in self.gets() {
            // SAFETY: only the call in it is pinned, and that stays where it is.
            unsafe { get.get_unchecked_mut() }.set_timeout(timeout);
        }
        self
    }

    fn gets(&mut self) -> impl Iterator<Item = Pin<&mut Operation<'static, K, kind::Get>>> {
        // SAFETY: the operations are not moved out of the slice: each is handed out pinned.
        let gets = unsafe { self.gets.as_mut().get_unchecked_mut() };
        // SAFETY: as above, and the slice is pinned as a whole.
        gets.iter_mut().map(|get| unsafe { Pin::new_unchecked(get) })
    }
}

impl<K: AsRef<[u8]>> Future for GetMulti<K> {
    type Output = Vec<Found>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut results = std::mem::take(&mut this.results);
        let mut pending = false;

        for (get, result) in this.gets().zip(&mut results) {
            if result.is_none() {
                match get.poll(cx) {
                    Poll::Ready(found) => *result = Some(found),
                    Poll::Pending => pending = true,
                }
            }
        }

        if pending {
            this.results = results;
            return Poll::Pending;
        }
        Poll::Ready(results.into_iter().flatten().collect())
    }
}
