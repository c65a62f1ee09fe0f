//! An operation that also says which server has answered.

#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::task::{ready, Context, Poll};

use pin_project_lite::pin_project;

use crate::error::Error;
use crate::operation::call::Reply;
use crate::operation::kind::Kind;
use crate::operation::origin::Origin;
use crate::operation::Operation;

pin_project! {
    /// An operation that also says which server has answered: what [`Operation::with_origin`] returns.
    #[must_use = "operations do nothing unless they are awaited"]
    pub struct WithOrigin<'v, K, O> {
        #[pin]
        operation: Operation<'v, K, O>,
    }
}

impl<'v, K, O> Operation<'v, K, O> {
    /// The same, with the server that has answered: the key's own, or, with `memcache_failover next` or `backup`, another one.
    ///
    /// ```no_run
    /// # use ngx_memcache::{Client, Error, Origin};
    /// # async fn example(mc: Client) -> Result<(), Error> {
    /// match mc.get("session:mary").with_origin().await? {
    ///     (Some(session), _) => {}
    ///     (None, Origin::Home) => {} // there is none
    ///     (None, Origin::StandIn) => {} // nobody knows: its server is down
    /// }
    /// # Ok(()) }
    /// ```
    pub fn with_origin(self) -> WithOrigin<'v, K, O> {
        WithOrigin { operation: self }
    }
}

impl<K: AsRef<[u8]>, O: Kind> Future for WithOrigin<'_, K, O> {
    type Output = Result<(O::Output, Origin), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reply: Reply = ready!(self.project().operation.poll_reply(cx))?;
        let origin = reply.origin;
        Poll::Ready(O::output(reply).map(|output| (output, origin)))
    }
}
