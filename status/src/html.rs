//! A snapshot as a page for people: one document, nothing loaded from elsewhere, a plain table without JavaScript.
//!
//! The template, the style and the script are the files of `page/`. The template escapes what is put into it.

use std::sync::LazyLock;

use askama::Template;
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use sha2::{Digest, Sha256};

use crate::pieces::Pieces;
use crate::show;
use crate::snapshot::{Client, Named, Route, Sample, Scope, Server, Snapshot, State};
use crate::verdict::{self, Verdict};

/// Servers of one client that the page shows, and of all clients until no other one is begun; those in trouble come
/// first then. The other formats have all.
pub const MAX_SERVERS: usize = 200;
/// Servers of one client that a phone shows with everything.
const SHORT: usize = 6;
/// How often the page refreshes itself, in milliseconds; more seldom when it is large.
const REFRESH: u32 = 2_000;
const REFRESH_LARGE: u32 = 5_000;
/// From so many servers on it is large.
const LARGE: usize = 20;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/page.js");

/// The page.
pub fn render(snapshot: &Snapshot) -> String {
    let mut out = Pieces::default();
    write(snapshot, &mut out);
    out.into_text()
}

/// Writes the page. There is no more.
pub(crate) fn write(snapshot: &Snapshot, out: &mut Pieces) -> bool {
    let servers = snapshot.clients.iter().map(|client| client.servers.len()).fold(0, usize::saturating_add);
    let shown = shown(snapshot);
    let page = Page {
        verdict: verdict::of(snapshot),
        hidden: snapshot.clients.len().saturating_sub(shown.len()),
        clients: shown.into_iter().map(|(index, client)| Section::new(index, client, snapshot)).collect(),
        refresh: if servers < LARGE { REFRESH } else { REFRESH_LARGE },
        now: snapshot.now,
        snapshot,
    };
    // What there is no memory for is known to the pieces.
    let _ = page.render_into(out);
    false
}

/// The clients that the page shows, in their order: of many, those in trouble first, until there are enough servers.
fn shown(snapshot: &Snapshot) -> Vec<(usize, &Client)> {
    let gravity = |client: &Client| client.servers.iter().map(|server| verdict::gravity(server, snapshot)).min();
    let mut order: Vec<_> =
        snapshot.clients.iter().enumerate().map(|(index, client)| (gravity(client), index)).collect();
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
    verdict: Verdict,
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
    route: Option<Way<'a>>,
}

impl<'a> Section<'a> {
    fn new(index: usize, client: &'a Client, snapshot: &'a Snapshot) -> Self {
        let most = client.servers.iter().flat_map(|server| &server.history);
        let most = most.map(|sample| show::per_second(sample.operations, sample.millis)).fold(1.0, f64::max);
        let row = |(number, server)| Row { client: index, number, server, most, snapshot };
        let mut rows: Vec<Row<'_>> = (0..).zip(&client.servers).map(row).collect();
        let hidden = rows.len().saturating_sub(MAX_SERVERS);
        rows.sort_by_key(|row| (verdict::gravity(row.server, snapshot), row.number));
        rows.truncate(MAX_SERVERS);
        let route = snapshot.routes.iter().find(|route| route.client == index);
        Section { index, client, rows, hidden, route: route.map(|route| Way { route, client }) }
    }

    /// Whether a phone shows no more than two lines of a server; its name leads to the rest.
    fn is_long(&self) -> bool {
        self.rows.len() > SHORT
    }

    /// Always in the order of the configuration: what is open stays open.
    fn details(&self) -> Vec<&Row<'a>> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.number);
        rows
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let client = self.client;
        vec![
            ("hash", client.hash.into()),
            ("failover", client.failover.into()),
            ("timeout", show::setting(client.timeout_ms)),
            ("connect timeout", show::setting(client.connect_timeout_ms)),
            ("max fails", client.max_fails.to_string()),
            ("retry", show::setting(client.retry_ms)),
            ("pipeline", client.pipeline.to_string()),
            ("queue", client.queue.to_string()),
            ("coalesce", if client.coalesce { "on" } else { "off" }.into()),
            ("largest value", show::bytes(client.max_value as u64)),
        ]
    }
}

/// Where a key goes to.
struct Way<'a> {
    route: &'a Route,
    client: &'a Client,
}

impl Way<'_> {
    fn sentence(&self) -> String {
        let name = |server: usize| self.client.servers.get(server).map_or("?", |server| &server.address);
        let route = self.route;
        match (&route.error, route.server, route.candidates.first()) {
            (Some(error), ..) => format!("This key cannot be sent: {error}."),
            (None, Some(server), Some(&home)) if server != home => {
                format!("This key goes to {}, as its own server {} is not live.", name(server), name(home))
            }
            (None, Some(server), _) => format!("This key goes to {}.", name(server)),
            (None, None, Some(&home)) => {
                format!("This key belongs to {}, which is not live: operations on it fail at once.", name(home))
            }
            (None, None, None) => "There is no server for this key.".into(),
        }
    }

    fn reason(&self) -> Option<String> {
        let hash = self.route.hash.zip(self.route.point);
        match (self.client.hash, hash) {
            ("modulo", Some((hash, point))) => Some(format!("Its hash is {hash}, which is {point} of the weights.")),
            (_, Some((hash, point))) => {
                Some(format!("Its hash is {hash:#010x}, the next point of the ring {point:#010x}."))
            }
            (_, None) if self.route.error.is_none() => Some("Its hash with this server's name is the highest.".into()),
            _ => None,
        }
    }

    /// What the other servers are for this key.
    fn order(&self) -> &'static str {
        match self.client.failover {
            "off" => {
                "Nobody stands in for it: \"memcache_failover\" is off. With \"next\" they would be asked in this order"
            }
            _ => "In the order in which they are asked",
        }
    }

    fn candidates(&self) -> impl Iterator<Item = (&str, &'static str)> {
        let servers = self.route.candidates.iter().filter_map(|&server| self.client.servers.get(server));
        servers.map(|server| (server.address.as_str(), word(server.state)))
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Live => "live",
        State::Down => "down",
        State::Disabled => "disabled",
    }
}

/// A server.
struct Row<'a> {
    client: usize,
    number: usize,
    server: &'a Server,
    /// Operations per second that fill the picture of traffic.
    most: f64,
    snapshot: &'a Snapshot,
}

impl Row<'_> {
    fn id(&self) -> String {
        format!("server-{}-{}", self.client, self.number)
    }

    /// A class for the colour, a sign for those who do not see it, and the word.
    fn state(&self) -> (&'static str, &'static str, &'static str) {
        match self.server.state {
            State::Live if !verdict::is_tried(self.server) => ("new", "○", "not used yet"),
            State::Live => ("good", "●", "live"),
            State::Down => ("bad", "✕", "down"),
            State::Disabled => ("warn", "‖", "disabled"),
        }
    }

    /// The time, or the day if that is another than today.
    fn since(&self) -> String {
        let clock = show::clock(self.server.since, self.snapshot.now, self.snapshot.utc_offset);
        clock.split(' ').next().unwrap_or_default().into()
    }

    fn is_of_today(&self) -> bool {
        !show::clock(self.server.since, self.snapshot.now, self.snapshot.utc_offset).contains(' ')
    }

    fn since_moment(&self) -> String {
        show::moment(self.server.since)
    }

    fn age(&self) -> String {
        show::age(self.server.since, self.snapshot.now)
    }

    fn rate(&self) -> Option<String> {
        show::rate(&self.server.history).map(show::count)
    }

    fn operations(&self) -> String {
        show::count(total(&self.server.operations))
    }

    fn traffic(&self) -> (String, String) {
        show::traffic(&self.server.history, self.most)
    }

    fn minutes(&self) -> u64 {
        let millis = self.server.history.iter().map(|sample| sample.millis).fold(0, u64::saturating_add);
        millis.div_ceil(60_000)
    }

    fn traffic_label(&self) -> String {
        let of = |value: fn(&Sample) -> u64| self.server.history.iter().map(value).fold(0, u64::saturating_add);
        format!(
            "Last {} min: {} operations, {} failed",
            self.minutes(),
            show::count(of(|sample| sample.operations)),
            show::count(of(|sample| sample.errors))
        )
    }

    fn hit_ratio(&self) -> Option<String> {
        show::percent(self.server.hits, self.server.hits.saturating_add(self.server.misses))
    }

    fn distribution(&self) -> String {
        show::distribution(&self.server.latency)
    }

    fn distribution_label(&self) -> String {
        let latency = &self.server.latency;
        format!(
            "Half of the operations took up to {}, 99 % up to {}, the longest {}. A bar for each power of two from \
             32 µs to 4 s, its height the root of its share",
            show::micros(latency.p50_us),
            show::micros(latency.p99_us),
            show::micros(latency.max_us)
        )
    }

    fn workers(&self) -> u64 {
        self.snapshot.workers.len().max(1) as u64
    }

    fn may_have(&self) -> u64 {
        u64::from(self.server.pool.max).saturating_mul(self.workers())
    }

    fn errors(&self) -> String {
        show::count(total(&self.server.errors))
    }

    fn failed(&self) -> Vec<(String, String)> {
        present(&self.server.errors)
    }

    fn limits(&self) -> Vec<(String, String)> {
        present(&self.server.limits)
    }

    fn kinds(&self) -> Vec<(String, String)> {
        present(&self.server.operations)
    }

    fn last_error(&self) -> Option<(String, String)> {
        let error = self.server.last_error.as_ref()?;
        Some((error.text.clone(), show::age(error.at, self.snapshot.now)))
    }

    fn hint(&self) -> &str {
        self.server.last_error.as_ref().map_or("", |error| error.hint)
    }

    fn last_error_clock(&self) -> String {
        let Some(error) = &self.server.last_error else { return String::new() };
        let (now, offset) = (self.snapshot.now, self.snapshot.utc_offset);
        format!("{} {}", show::clock(error.at, now, offset), show::zone(offset))
    }

    fn latencies(&self) -> impl Iterator<Item = (String, &crate::snapshot::Latency)> {
        let kinds = self.server.latency_by_kind.iter().map(|(kind, latency)| (words(kind), latency));
        kinds.chain([("queue".to_string(), &self.server.queue_time)]).filter(|(_, latency)| latency.count > 0)
    }

    fn pid(&self, slot: &usize) -> String {
        let worker = self.snapshot.workers.iter().find(|worker| worker.slot == *slot);
        worker.map_or("–".into(), |worker| worker.pid.to_string())
    }
}

fn total(counters: &Named<u64>) -> u64 {
    counters.iter().map(|(_, value)| *value).fold(0, u64::saturating_add)
}

/// The counters that are not 0, with their names as words.
fn present(counters: &Named<u64>) -> Vec<(String, String)> {
    counters.iter().filter(|(_, value)| *value > 0).map(|(name, value)| (words(name), show::count(*value))).collect()
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples;

    /// The text of the elements that are opened by `start`, as a browser reads it.
    fn texts(page: &str, start: &str) -> Vec<String> {
        let of =
            |part: &str| part.split_once('>').and_then(|(_, text)| text.split_once('<')).map(|(text, _)| text.into());
        page.split(start).skip(1).filter_map(of).map(unescape).collect()
    }

    fn unescape(text: String) -> String {
        let mut parts = text.split("&#");
        let mut plain = parts.next().unwrap().to_string();
        for part in parts {
            let (code, rest) = part.split_once(';').unwrap();
            plain.push(char::from_u32(code.parse().unwrap()).unwrap());
            plain.push_str(rest);
        }
        assert!(!text.replace("&#", "").contains('&'), "{text}");
        plain
    }

    #[test]
    fn everything_is_there() {
        let mut snapshot = samples::servers(3);
        samples::share(&mut snapshot);
        samples::take_down(&mut snapshot.clients[0].servers[1], "refused", "connection refused");
        samples::slow_down(&mut snapshot.clients[0].servers[2]);
        let page = render(&snapshot);
        for text in [
            "10.0.0.2:11211 is down since 02:13:05 UTC: connection refused.</p>",
            "Nobody listens there",
            "example.com, www.example.com</h2>",
            "97.0 %",
            "231 µs",
            "<b>8</b><i> of 32</i>",
            "<b>97</b>",
            "3,804",
            "timed out <span class=\"nowrap\">2 s ago",
            "4 workers, ",
            "<tr><th scope=\"row\">4245</th><td>live</td>",
        ] {
            assert!(page.contains(text), "{text}");
        }
        assert!(!page.contains("happened to answer"), "that is for one worker");
        assert!(render(&samples::servers(3)).contains("worker 4242 alone"));
    }

    #[test]
    fn d5_nothing_is_loaded_and_nothing_is_inline() {
        let page = render(&samples::servers(3));
        for word in ["src=", "@import", "url(", " style=", " onclick", "javascript:"] {
            assert!(!page.contains(word), "{word}");
        }
        let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http:") && !elsewhere.contains("https:") && !elsewhere.contains("\"//"));
    }

    #[test]
    fn the_policy_is_of_what_is_in_the_page() {
        let page = render(&samples::servers(3));
        for tag in ["style", "script"] {
            let (_, rest) = page.split_once(&format!("<{tag}>")).unwrap();
            let (text, rest) = rest.split_once(&format!("</{tag}>")).unwrap();
            let hash = STANDARD.encode(Sha256::digest(text));
            assert!(policy().contains(&format!("{tag}-src 'sha256-{hash}'")), "{tag}");
            assert!(!rest.contains(&format!("<{tag}")), "one {tag}");
        }
        assert!(policy().starts_with("default-src 'none'; "));
        assert!(policy().is_ascii() && !policy().contains(['\r', '\n']));
    }

    #[test]
    fn d8_the_page_is_bounded_and_says_so() {
        let mut snapshot = samples::servers(10_000);
        samples::take_down(&mut snapshot.clients[0].servers[9_999], "refused", "connection refused");
        let page = render(&snapshot);
        assert!(page.len() < 3 << 20, "{}", page.len());
        assert!(page.contains("9800 more servers are not shown"));
        assert_eq!(texts(&page, "<a href=\"#server")[0], "10.0.0.10000:11211", "those in trouble come first");
    }

    #[test]
    fn r51_the_page_is_bounded_whatever_there_is() {
        let mut snapshot = samples::servers(1);
        let one = snapshot.clients[0].clone();
        snapshot.clients = vec![one; 3_000];
        samples::take_down(&mut snapshot.clients[2_500].servers[0], "refused", "connection refused");
        let page = render(&snapshot);
        assert!(page.len() < 3 << 20, "{}", page.len());
        assert!(page.contains("2800 more clients are not shown"));
        assert!(page.contains("id=\"client-2500\""), "those in trouble come first");
    }

    #[test]
    fn a_way_in_words() {
        let mut snapshot = samples::servers(3);
        let way = |snapshot: &Snapshot| {
            let section = Section::new(0, &snapshot.clients[0], snapshot);
            let way = section.route.unwrap();
            (way.sentence(), way.reason())
        };
        let route = Route {
            client: 0,
            error: None,
            hash: Some(0xabc),
            point: Some(0xdef),
            candidates: vec![1, 2, 0],
            server: Some(1),
        };
        let reason = Some("Its hash is 0x00000abc, the next point of the ring 0x00000def.".to_string());
        snapshot.routes = vec![route.clone()];
        assert_eq!(way(&snapshot), ("This key goes to 10.0.0.2:11211.".into(), reason.clone()));
        // Without failover, nobody else is asked.
        for (failover, text) in
            [("off", "\"memcache_failover\" is off"), ("next", "In the order in which they are asked: ")]
        {
            snapshot.clients[0].failover = failover;
            assert!(render(&snapshot).replace("&#34;", "\"").contains(text), "{failover}");
        }
        snapshot.clients[0].failover = "off";
        assert!(!render(&snapshot).contains("In the order in which they are asked"), "R55");
        snapshot.routes = vec![Route { server: Some(2), ..route.clone() }];
        let text = "This key goes to 10.0.0.3:11211, as its own server 10.0.0.2:11211 is not live.";
        assert_eq!(way(&snapshot), (text.into(), reason.clone()));
        snapshot.routes = vec![Route { server: None, ..route.clone() }];
        let text = "This key belongs to 10.0.0.2:11211, which is not live: operations on it fail at once.";
        assert_eq!(way(&snapshot), (text.into(), reason));
        let nowhere = Route { error: Some("the key is empty".into()), hash: None, point: None, ..route };
        snapshot.routes = vec![nowhere];
        assert_eq!(way(&snapshot), ("This key cannot be sent: the key is empty.".into(), None));
    }

    proptest! {
        #[test]
        fn any_name_is_text(name in "\\PC*|[<>&\"'/=a-c ]*") {
            let mut snapshot = samples::servers(1);
            snapshot.clients[0].servers[0].address = name.clone();
            snapshot.clients[0].used_by = vec![name.clone()];
            samples::take_down(&mut snapshot.clients[0].servers[0], "refused", &name);
            let page = render(&snapshot);
            prop_assert_eq!(&texts(&page, "<h2")[0], &name);
            prop_assert_eq!(&texts(&page, "<h3")[0], &name);
            prop_assert_eq!(&texts(&page, "<a href=\"#server-0-0\"")[0], &name);
            let plain = render(&{
                let mut plain = snapshot.clone();
                plain.clients[0].servers[0].address = String::new();
                plain.clients[0].used_by = vec![String::new()];
                plain.clients[0].servers[0].last_error.as_mut().unwrap().text = String::new();
                plain
            });
            prop_assert_eq!(page.matches(['<', '>', '"']).count(), plain.matches(['<', '>', '"']).count());
        }
    }
}
