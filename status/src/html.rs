//! A snapshot as a page for people: one document, nothing loaded from elsewhere, a plain table without JavaScript.
//!
//! The template, the style and the script are the files of `page/`. The template escapes what is put into it.

mod route;
mod server;

use std::sync::LazyLock;

use askama::Template;
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use sha2::{Digest, Sha256};

use crate::diagnosis::{self, Diagnosis};
use crate::pieces::Pieces;
use crate::show;
use crate::snapshot::{Client, Scope, Snapshot};

use self::route::KeyRoute;
use self::server::Row;

/// The page shows this many servers of one client. It begins no other client after this many servers in all. Servers with
/// problems come first then. The other formats have all servers.
pub const MAX_SERVERS: usize = 200;
/// A phone shows all details of this many servers of one client.
const SHORT: usize = 6;
/// The interval of the page's refresh, in milliseconds; a large page has a longer one.
const REFRESH: u32 = 2_000;
const REFRESH_LARGE: u32 = 5_000;
/// With so many servers it is large.
const LARGE: usize = 20;

const STYLE: &str =
    concat!(include_str!("page/style.css"), include_str!("page/cluster.css"), include_str!("page/media.css"));
const SCRIPT: &str = include_str!("page/page.js");

/// The page.
pub fn render(snapshot: &Snapshot) -> String {
    let mut out = Pieces::default();
    write(snapshot, &mut out);
    out.into_text()
}

/// Writes the page, in one step.
pub(crate) fn write(snapshot: &Snapshot, out: &mut Pieces) -> bool {
    let servers = snapshot.clients.iter().map(|client| client.servers.len()).fold(0, usize::saturating_add);
    let shown = shown(snapshot);
    let page = Page {
        diagnosis: diagnosis::of(snapshot),
        hidden: snapshot.clients.len().saturating_sub(shown.len()),
        clients: shown.into_iter().map(|(index, client)| Section::new(index, client, snapshot)).collect(),
        refresh: if servers < LARGE { REFRESH } else { REFRESH_LARGE },
        now: snapshot.now,
        snapshot,
    };
    // The pieces note a lack of memory.
    let _ = page.render_into(out);
    false
}

/// The clients that the page shows, in their order. If there are many, those with problems come first, until there are
/// enough servers.
fn shown(snapshot: &Snapshot) -> Vec<(usize, &Client)> {
    let severity = |client: &Client| client.servers.iter().map(|server| diagnosis::severity(server, snapshot)).min();
    let mut order: Vec<_> =
        snapshot.clients.iter().enumerate().map(|(index, client)| (severity(client), index)).collect();
    order.sort_unstable();
    let mut servers = 0usize;
    let mut shown = Vec::new();
    for (_, index) in order {
        if servers >= MAX_SERVERS {
            break;
        }
        let Some(client) = snapshot.clients.get(index) else { continue };
        servers = servers.saturating_add(client.servers.len().max(1));
        shown.push((index, client));
    }
    shown.sort_unstable_by_key(|(index, _)| *index);
    shown
}

/// The Content-Security-Policy of the page: its own style and script, requests to where it comes from, and the icon
/// that it carries.
pub fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
        format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            hash(STYLE),
            hash(SCRIPT)
        )
    });
    &POLICY
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    diagnosis: Diagnosis,
    clients: Vec<Section<'a>>,
    /// Clients that are not shown.
    hidden: usize,
    refresh: u32,
    now: u64,
    snapshot: &'a Snapshot,
}

impl Page<'_> {
    fn is_worker(&self) -> bool {
        self.snapshot.scope == Scope::Worker
    }

    fn clock(&self) -> String {
        show::clock(self.now, self.now, self.snapshot.utc_offset)
    }

    fn zone(&self) -> String {
        show::zone(self.snapshot.utc_offset)
    }

    fn moment(&self) -> String {
        show::moment(self.now)
    }
}

/// A client and its servers.
struct Section<'a> {
    index: usize,
    client: &'a Client,
    rows: Vec<Row<'a>>,
    /// Servers that are not shown.
    hidden: usize,
    route: Option<KeyRoute<'a>>,
}

impl<'a> Section<'a> {
    fn new(index: usize, client: &'a Client, snapshot: &'a Snapshot) -> Self {
        let most = client.servers.iter().flat_map(|server| &server.history);
        let most = most.map(|sample| show::per_second(sample.operations, sample.millis)).fold(1.0, f64::max);
        let row = |(number, server)| Row { client: index, number, server, most, snapshot };
        let mut rows: Vec<Row<'_>> = (0..).zip(&client.servers).map(row).collect();
        let hidden = rows.len().saturating_sub(MAX_SERVERS);
        rows.sort_by_key(|row| (diagnosis::severity(row.server, snapshot), row.number));
        rows.truncate(MAX_SERVERS);
        let route = snapshot.routes.iter().find(|route| route.client == index);
        Section { index, client, rows, hidden, route: route.map(|route| KeyRoute { route, client }) }
    }

    /// Whether a phone shows only two lines of a server; its name links to the details.
    fn is_long(&self) -> bool {
        self.rows.len() > SHORT
    }

    /// In the order of the configuration, so that open details stay open.
    fn details(&self) -> Vec<&Row<'a>> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.number);
        rows
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let client = self.client;
        let mut settings = vec![
            ("hash", client.hash.into()),
            ("failover", client.failover.into()),
            ("protocol", client.protocol.into()),
            ("timeout", show::setting(client.timeout_ms)),
            ("connect timeout", show::setting(client.connect_timeout_ms)),
            ("max fails", client.max_fails.to_string()),
            ("retry", show::setting(client.retry_ms)),
            ("pipeline", client.pipeline.to_string()),
            ("queue", client.queue.to_string()),
            ("coalesce", if client.coalesce { "on" } else { "off" }.into()),
            ("largest value", show::bytes(client.max_value as u64)),
            ("long keys", client.long_keys.into()),
            ("hash tag", client.hash_tag.clone().unwrap_or_else(|| "off".into())),
            ("prefix in hash", if client.hash_prefix { "on" } else { "off" }.into()),
            ("TLS", if client.ssl { "on" } else { "off" }.into()),
        ];
        if client.used_by.iter().any(|user| *user != client.cluster) {
            settings.insert(0, ("used by", client.used_by.join(", ")));
        }
        if let Some(secs) = client.backup_ttl {
            settings.push(("life on a backup", show::setting(u64::from(secs).saturating_mul(1_000))));
        }
        settings.extend(client.modules.iter().map(|module| ("module", show::module(module))));
        if client.list_version > 0 {
            settings.push(("list of servers", format!("version {}", client.list_version)));
        }
        settings
    }
}

#[cfg(test)]
mod tests;
