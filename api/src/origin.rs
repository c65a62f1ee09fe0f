//! Who has answered: the key's own server, or another one in its place.

use std::future::Future;
use std::pin::Pin;
use std::task::{ready, Context, Poll};

use crate::call::Reply;
use crate::operation::kind::Kind;
use crate::{Error, Operation};

/// Who has answered.
///
/// With `memcache_failover next` another server stands in for one that is down. It does not know that one's items, and
/// may have ones of an earlier time when it stood in. So a miss of a stand-in does not say that there is no item: what
/// belongs to the item outside of memcached (the cookie of a session, an entry in an index) has to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The key's own server.
    Home,
    /// Another one, because that is down.
    StandIn,
}

impl Origin {
    pub(crate) fn new(stand_in: u32) -> Self {
        if stand_in == 0 {
            Origin::Home
        } else {
            Origin::StandIn
        }
    }
}

/// An operation that also says who has answered: what [`Operation::with_origin`] returns.
#[must_use = "operations do nothing unless they are awaited"]
pub struct WithOrigin<'v, K, O>(Operation<'v, K, O>);

impl<'v, K, O> WithOrigin<'v, K, O> {
    pub(crate) fn new(operation: Operation<'v, K, O>) -> Self {
        WithOrigin(operation)
    }
}

impl<K: AsRef<[u8]>, O: Kind> Future for WithOrigin<'_, K, O> {
    type Output = Result<(O::Output, Origin), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the operation is pinned with this, which neither moves it nor drops it otherwise.
        let operation = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        let reply: Reply = ready!(operation.poll_reply(cx))?;
        let origin = reply.origin;
        Poll::Ready(O::output(reply).map(|output| (output, origin)))
    }
}
