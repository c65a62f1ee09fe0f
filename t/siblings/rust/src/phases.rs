//! Handlers of other phases than content.

use ngx::core::Status;
use ngx::http::{HTTPStatus, Request};
use ngx_memcache::http::{self, Body, Response};
use ngx_memcache::{Client, Error};

use crate::args::Args;
use crate::ending;

/// Every handler counts `PHASE:KEY`. Then:
///
/// - `go`: the request goes on.
/// - `refuse`: 403 if the item is there.
/// - `answer`: a response with the count as its body.
/// - `panic`: panics when the count is there.
/// - `body`: tries to read the body.
///
/// In the rewrite phase, also `ending`: tries what cannot be done in the handlers of cleanups, see [`ending`].
pub fn rewrite(request: &mut Request, what: &str) -> Status {
    match what {
        "ending" => ending::add(request),
        _ => handle(request, "rewrite", what, Status::NGX_DECLINED),
    }
}

/// The same.
pub fn access(request: &mut Request, what: &str) -> Status {
    handle(request, "access", what, Status::NGX_OK)
}

#[allow(clippy::panic)]
fn handle(request: &mut Request, phase: &'static str, what: &str, go_on: Status) -> Status {
    let mc = Client::from_request(request);
    let key = format!("{phase}:{}", Args::of(request).key());

    match what {
        "body" => http::spawn_with_body(request, 100, async |_: &Body| HTTPStatus::OK),
        "go" => http::spawn(request, async move {
            mc?.incr(key, 1).initial(1).await?;
            Ok::<_, Error>(go_on)
        }),
        "refuse" => http::spawn(request, async move {
            let n = mc?.incr(key, 1).initial(1).await?;
            Ok::<_, Error>(if n.is_some() { HTTPStatus::FORBIDDEN.into() } else { go_on })
        }),
        "answer" => http::spawn(request, async move {
            let n = mc?.incr(key, 1).initial(1).await?;
            Ok::<_, Error>(Response::ok().body(format!("{phase} {}", n.unwrap_or(0))))
        }),
        "panic" => http::spawn(request, async move {
            let n = mc?.incr(key, 1).initial(1).await?;
            assert!(n.is_none(), "in {phase}");
            Ok::<_, Error>(go_on)
        }),
        _ => Status::NGX_ERROR,
    }
}

/// - `count`: counts `log:KEY`, detached.
/// - `spawn`, `spawn_body`, `ending`: tries what cannot be done.
pub fn log(request: &mut Request, what: &str) -> Status {
    let Ok(mc) = Client::from_request(request) else { return Status::NGX_OK };
    let key = format!("log:{}", Args::of(request).key());
    match what {
        "count" => {
            let _ = http::spawn_detached(async move {
                let _ = mc.incr(key, 1).initial(1).await;
            });
        }
        "spawn" => {
            http::spawn(request, async move { mc.get(key).await });
        }
        "ending" => ending::try_all(request, "log"),
        "spawn_body" => {
            http::spawn_with_body(request, 100, async |_: &Body| HTTPStatus::OK);
        }
        _ => return Status::NGX_ERROR,
    }
    Status::NGX_OK
}
