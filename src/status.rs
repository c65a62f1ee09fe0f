//! `memcache_status`: the state of the clients, as a page, as JSON, or as metrics.
//!
//! It opens no connection, changes nothing, and shows nothing of the request, no key and no value. The crate
//! `memcache-status` renders the formats.

#![forbid(unsafe_code)]

mod collect;
mod job;

use memcache_status::snapshot::Worker;
use memcache_status::{html, Format, Query, UnknownFormat};
use nginx_sys::{
    ngx_int_t, NGX_HTTP_GET, NGX_HTTP_HEAD, NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_HTTP_NOT_ALLOWED, NGX_HTTP_NOT_FOUND,
};

use self::job::Work;
use crate::nginx::job::start;
use crate::nginx::process;
use crate::nginx::request::{Handler, Request};
use crate::reply::{Reply, SERVICE_UNAVAILABLE};
use crate::worker;
use crate::worker::location::LocationConf;

/// The handler of a location with `memcache_status`.
pub struct Status;

impl Handler for Status {
    const ON_PANIC: ngx_int_t = NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;

    fn handle(request: Request<'_>) -> ngx_int_t {
        respond(request).unwrap_or(SERVICE_UNAVAILABLE)
    }
}

/// Answers a request. `None`: there is no memory.
fn respond(request: Request<'_>) -> Option<ngx_int_t> {
    if request.method() & (NGX_HTTP_GET | NGX_HTTP_HEAD) as usize == 0 {
        request.add_header("Allow", "GET, HEAD")?;
        return Some(NGX_HTTP_NOT_ALLOWED as ngx_int_t);
    }
    if let Err(rc) = request.discard_body() {
        return Some(rc);
    }
    let Ok(query) = query(request)? else {
        return Reply::refusal(NGX_HTTP_NOT_FOUND).send_text(request, UnknownFormat::TEXT);
    };
    let reply = match query.format {
        Format::Html => Reply::document("text/html; charset=utf-8", html::policy()),
        Format::Json => Reply::data("application/json"),
        Format::Prometheus => Reply::data("text/plain; version=0.0.4; charset=utf-8"),
    };
    let this = Worker { pid: process::pid_number(), generation: worker::generation(), slot: process::worker_number() };
    let mut work = Work::new(query, this, reply)?;
    if work.step()? {
        return start(request, work);
    }
    reply.send(request, work.into_body())
}

/// What the request asks for: by arguments, by the path after the location's name, or by the location itself.
fn query(request: Request<'_>) -> Option<Result<Query, UnknownFormat>> {
    let conf = request.location_conf::<LocationConf>()?;
    // The name of a location that is found by a pattern, or has none in the path, is no part of the path. A slash at its end
    // is the one before the format.
    let location = request.location();
    let location = location.strip_suffix(b"/").unwrap_or(location);
    let suffix = request.uri().strip_prefix(location).unwrap_or_default();
    Some(Query::parse(conf.status.unwrap_or_default(), suffix, request.args()))
}
