//! Leases: one caller makes an item that is missing or stale.

use std::time::Duration;

use ngx::http::HTTPStatus;
use ngx_memcache::http::{self, Response};
use ngx_memcache::{Client, Error, Lease, Origin, Won};

use crate::condition;
use crate::handler::item_or_404;
use crate::tag::Tag;

/// The item, and the state of the lease. With `won`, there is a tag even without an item: a `PUT` with it as `If-Match` stores
/// the item, a `DELETE` or `POST ?invalidate` with it gives the lease back.
pub async fn lease(mc: Client, key: Vec<u8>, vivify: Duration, recache: Duration) -> Result<Response, Error> {
    let (lease, origin) = mc.lease(&key, vivify).recache(recache).with_origin().await?;
    let (who, item, vacant, stale) = match lease {
        Lease::Hit(item) => ("none", Some(item), None, false),
        Lease::Lost { old, .. } => {
            let stale = old.is_some();
            ("lost", old, None, stale)
        }
        Lease::Won(won) if won.old.is_some() => ("won", won.old, None, won.stale),
        Lease::Won(won) => {
            let (cas, stale) = (won.cas, won.stale);
            let held = Held::new(mc, &key, won);
            let vacant = held.tag(cas, origin).await?;
            held.passed_on();
            ("won", None, Some(vacant), stale)
        }
    };
    let response = match (item, vacant) {
        (None, Some(tag)) => {
            // With a body of its own: nginx removes the ETag from its own error pages.
            let response = Response::new(HTTPStatus::NOT_FOUND).content_type("text/plain").body("yours to make\n");
            match tag {
                Some(tag) => response.header("ETag", tag),
                None => response,
            }
        }
        (item, _) => item_or_404(item),
    };
    let response = response.header("X-Memcache-Lease", who);
    Ok(if stale { response.header("X-Memcache-Stale", "1") } else { response })
}

/// A lease that is held while the answer is made. When this is dropped, it is given back: the client may go away, or
/// memcached may fail.
pub struct Held {
    mc: Client,
    key: Vec<u8>,
    won: Option<Won>,
}

impl Held {
    pub fn new(mc: Client, key: &[u8], won: Won) -> Self {
        Held { mc, key: key.into(), won: Some(won) }
    }

    /// The lease was passed on or used.
    pub fn passed_on(mut self) {
        self.won = None;
    }

    /// The tag of the empty item; none if another server stands in: it could not be identified later.
    async fn tag(&self, cas: u64, origin: Origin) -> Result<Option<Tag>, Error> {
        if origin == Origin::StandIn {
            return Ok(None);
        }
        let process = condition::process_of(&self.mc, &self.key).await?;
        Ok(process.map(|process| Tag::vacant(cas, process)))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(won) = self.won.take() else { return };
        let (mc, key) = (self.mc, std::mem::take(&mut self.key));
        // Without it the lease ends after its time.
        let _ = http::spawn_detached(async move {
            let _ = mc.hand_back(key, &won).await;
        });
    }
}
