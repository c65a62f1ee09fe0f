//! `memcache_control`: the operator takes servers out of use, for all workers, and brings them back.
//!
//! GET and HEAD show the switches of all servers. `PUT …/CLUSTER/SERVER?state=up|down|drain` changes one. Nothing else can be
//! changed here. A cluster has the name that the status shows. Names are compared as a whole, so they may contain slashes.
//!
//! A browser sends requests that another site's page makes. Such a request says so in `Origin` or `Sec-Fetch-Site`, and is
//! refused.

#![forbid(unsafe_code)]

use bytes::Bytes;
use memcache_engine::Switch;
use memcache_status::json;
use memcache_status::switches::{self, Switches};
use nginx_sys::{
    ngx_int_t, NGX_HTTP_BAD_REQUEST, NGX_HTTP_CONFLICT, NGX_HTTP_FORBIDDEN, NGX_HTTP_GET, NGX_HTTP_HEAD,
    NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_HTTP_NOT_ALLOWED, NGX_HTTP_NOT_FOUND, NGX_HTTP_PUT,
};

use crate::nginx::clock::Calendar;
use crate::nginx::log::Log;
use crate::nginx::request::{Handler, Request};
use crate::reply::{Reply, SERVICE_UNAVAILABLE};
use crate::worker;
use crate::worker::cluster::{labels, Cluster};
use crate::worker::clusters::Clusters;
use crate::worker::record::{client_text, Record};

/// The handler of a location with `memcache_control`.
pub struct Control;

impl Handler for Control {
    const ON_PANIC: ngx_int_t = NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;

    fn handle(request: Request<'_>) -> ngx_int_t {
        respond(request).unwrap_or(SERVICE_UNAVAILABLE)
    }
}

/// A status, and a line of text about it.
type Refusal = (u32, String);

/// The longest part of a name from a request that an answer repeats, in bytes.
const MAX_SHOWN: usize = 256;

/// Answers a request. `None`: there is no memory.
fn respond(request: Request<'_>) -> Option<ngx_int_t> {
    let is = |methods: u32| request.method() & methods as usize != 0;
    if !is(NGX_HTTP_GET | NGX_HTTP_HEAD | NGX_HTTP_PUT) {
        request.add_header("Allow", "GET, HEAD, PUT")?;
        return Some(NGX_HTTP_NOT_ALLOWED as ngx_int_t);
    }
    if let Err(rc) = request.discard_body() {
        return Some(rc);
    }
    let clusters = worker::clusters().ok()?;
    let done = match is(NGX_HTTP_PUT) {
        true => change(request, clusters),
        false if target(request).is_some_and(<[u8]>::is_empty) => Ok(()),
        false => Err((NGX_HTTP_NOT_FOUND, "GET and HEAD show all servers, at the location itself".into())),
    };
    match done {
        Ok(()) => Reply::data("application/json").send_text(request, &json::render_switches(&list(clusters))),
        Err((status, text)) => Reply::refusal(status).send_text(request, &(text + "\n")),
    }
}

/// The path after the location's name, without the slash between them. `None`: it is another path.
fn target(request: Request<'_>) -> Option<&[u8]> {
    let location = request.location();
    let rest = request.uri().strip_prefix(location.strip_suffix(b"/").unwrap_or(location))?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix(b"/")
}

/// Carries out a request for a change.
fn change(request: Request<'_>, clusters: &Clusters) -> Result<(), Refusal> {
    if !is_own(request) {
        return Err((NGX_HTTP_FORBIDDEN, "a page of another site has made this request".into()));
    }
    let state = request.args().strip_prefix(b"state=");
    let Some(switch) = state.and_then(Switch::parse) else {
        return Err((NGX_HTTP_BAD_REQUEST, "the only argument must be state=up, state=down or state=drain".into()));
    };
    let target = target(request).unwrap_or_default();
    let (cluster, server, record) = find(clusters, target)?;
    let no_room = || (NGX_HTTP_CONFLICT, "the zone has no room for the switch of this server".into());
    let shared = record.and_then(|record| record.switch).ok_or_else(no_room)?;
    let was = shared.set(switch, Calendar::new().now(), request.client());
    if was != switch {
        if let Some(driver) = cluster.running() {
            driver.follow_switches();
        }
        report(request, (cluster, &server), was, switch);
    }
    Ok(())
}

/// Whether no page of another site has made the request.
fn is_own(request: Request<'_>) -> bool {
    let is_here = |origin: &[u8]| {
        let scheme = origin.windows(3).position(|part| part == b"://");
        let host = scheme.and_then(|at| origin.get(at.saturating_add(3)..));
        host.zip(request.host()).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
    };
    let is_same = |site: &[u8]| site == b"same-origin" || site == b"none";
    request.headers(b"origin").into_iter().all(is_here) && request.headers(b"sec-fetch-site").into_iter().all(is_same)
}

/// The server that a path names: its cluster, its name, and its memory.
fn find<'a>(clusters: &'a Clusters, target: &[u8]) -> Result<(&'a Cluster, Bytes, Option<Record>), Refusal> {
    let names = labels(&clusters.list);
    let mut known = None;
    for (cluster, (name, is_unique)) in clusters.iter().zip(&names) {
        let Some(server) = target.strip_prefix(&name[..]).and_then(|rest| rest.strip_prefix(b"/")) else { continue };
        if !is_unique {
            let text =
                format!("several clusters have the name \"{}\": memcache_cluster gives them others", shown(name));
            return Err((NGX_HTTP_CONFLICT, text));
        }
        if let Some((name, record)) = cluster.members().into_iter().find(|(name, _)| name == server) {
            return Ok((cluster, name, record));
        }
        known = Some((name, server));
    }
    let text = match known {
        Some((cluster, server)) => {
            format!("there is no server \"{}\" in cluster \"{}\"", shown(server), shown(cluster))
        }
        None => format!("there is no cluster and server \"{}\"", shown(target)),
    };
    Err((NGX_HTTP_NOT_FOUND, text))
}

/// A part of a request as a text that is harmless in a log and in a browser.
fn shown(bytes: &[u8]) -> String {
    let text = bytes.get(..MAX_SHOWN).unwrap_or(bytes).escape_ascii().to_string();
    text.replace('<', "\\x3c").replace('>', "\\x3e").replace('&', "\\x26")
}

/// A line in the log: what was changed, and by whom.
fn report(request: Request<'_>, (cluster, server): (&Cluster, &[u8]), was: Switch, switch: Switch) {
    let what = match switch {
        Switch::Up => "brought back",
        Switch::Down => "taken down",
        Switch::Drain => "drained",
    };
    let user = match request.user() {
        [] => String::new(),
        user => format!(" (user \"{}\")", shown(user)),
    };
    let (server, cluster, was) = (shown(server), shown(&cluster.label()), was.name());
    let client = client_text(request.client());
    Log::current(|log| {
        log.notice(format_args!(
            "memcache: server {server} of cluster \"{cluster}\" was {what} by {client}{user}, was: {was}"
        ));
    });
}

/// The switches of all servers.
fn list(clusters: &Clusters) -> Switches {
    let calendar = Calendar::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let server = |(name, record): (Bytes, Option<Record>)| {
        let shared = record.and_then(|record| record.switch);
        let last = shared.and_then(|shared| shared.switched());
        switches::Server {
            address: text(&name),
            state: shared.map_or(Switch::Up, |shared| shared.get()).name(),
            since: last.map(|last| calendar.millis(last.at)),
            from: last.map(|last| client_text(last.by)),
        }
    };
    let mut all = Switches::default();
    for (cluster, (name, is_unique)) in clusters.iter().zip(labels(&clusters.list)) {
        let name = text(&name);
        if !is_unique {
            if !all.ambiguous.contains(&name) {
                all.ambiguous.push(name);
            }
            continue;
        }
        let servers = cluster.members().into_iter().map(server).collect();
        all.clusters.push(switches::Cluster { cluster: name, servers });
    }
    all
}
