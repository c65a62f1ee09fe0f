//! Items that are made by one of many.

use std::time::Duration;

use ngx::core::Status;
use ngx::http::Request;
use ngx_memcache::http::{self, Response};
use ngx_memcache::{Client, Error, Freshness, Source};

use crate::args::Args;

/// `?key=&ms=`: makes the item in so many milliseconds, from the argument `value`, and counts `made:KEY`. Arguments
/// `ttl`, `ahead`, `within` of [`Freshness`].
///
/// - `fetch`
/// - `fetch_strict`: fails when memcached is down.
/// - `fetch_fail`, `fetch_panic`: fails, panics, after the time.
/// - `fetch_large`: makes a value that cannot be stored.
pub fn handle(request: &mut Request, mc: Client, what: &str) -> Option<Status> {
    let args = Args::of(request);
    let secs =
        |name, default: u32| args.number(name).map_or(default, |number| u32::try_from(number).unwrap_or(default));
    let freshness = Freshness::secs(secs("ttl", 1000))
        .refresh_ahead(secs("ahead", 0))
        .compute_within(Duration::from_secs(secs("within", 60).into()));
    let freshness = if what == "fetch_strict" { freshness.fail_when_down() } else { freshness };
    let end = match what {
        "fetch" | "fetch_strict" => End::Value,
        "fetch_fail" => End::Error,
        "fetch_panic" => End::Panic,
        "fetch_large" => End::Large,
        _ => return None,
    };
    Some(http::spawn(request, async move {
        let fetched = mc.fetch(args.key(), freshness, || compute(mc, &args, end)).await?;
        let source = match fetched.source() {
            Source::Cache => "cache",
            Source::Stale => "stale",
            Source::Made => "made",
            _ => "alone",
        };
        Ok::<_, Error>(Response::ok().header("X-Source", source).body(fetched))
    }))
}

enum End {
    Value,
    Error,
    Panic,
    Large,
}

#[allow(clippy::panic)]
async fn compute(mc: Client, args: &Args, end: End) -> Result<Vec<u8>, Error> {
    let _ = mc.incr(format!("made:{}", args.key()), 1).initial(1).await;
    http::sleep(Duration::from_millis(args.number("ms").unwrap_or(0))).await;
    match end {
        End::Value => Ok(args.text("value").unwrap_or("moo").into()),
        End::Error => Err(Error::Decode("cannot be made".into())),
        End::Panic => panic!("cannot be made"),
        End::Large => Ok(vec![b'x'; mc.max_value().saturating_add(1)]),
    }
}
