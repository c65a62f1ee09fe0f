//! A snapshot as metrics in the text format of Prometheus.
//!
//! The labels are `client`, its name, `server`, its address as configured, and `op` or `class`,
//! words of the engine: what there is of them is decided by the configuration.

use std::fmt::{self, Display, Write as _};
use std::ops::Range;

use crate::pieces::Pieces;
use crate::rendering::Cursor;
use crate::snapshot::{Client, Latency, Named, Scope, Server, Snapshot, State};

/// Upper bounds of the buckets in microseconds: 2^6, 2^7, …, 2^20. The engine's own buckets, many more, end there too.
const BOUNDS: std::ops::RangeInclusive<u32> = 6..=20;

/// All metrics.
pub fn render(snapshot: &Snapshot) -> String {
    let (mut at, mut out) = (Cursor::default(), Pieces::default());
    while step(snapshot, &mut at, &mut out) {}
    out.into_text()
}

/// Clients in a step.
const STEP: usize = 16;
/// With more servers than these, a histogram of one of them has no buckets but the last: their number is what makes a
/// hundred series of a server.
pub const MAX_HISTOGRAMS: usize = 100;

/// Writes one metric of the next few clients. Returns whether there is more.
pub(crate) fn step(snapshot: &Snapshot, at: &mut Cursor, out: &mut Pieces) -> bool {
    let Cursor { major: metric, minor: first } = *at;
    let end = first.saturating_add(STEP);
    let mut metrics = Metrics { text: out, snapshot, clients: first..end };
    let Some(()) = metrics.write(metric) else { return false };
    *at = if metric <= ALL.len() || end >= snapshot.clients.len() {
        Cursor { major: metric.saturating_add(1), minor: 0 }
    } else {
        Cursor { major: metric, minor: end }
    };
    true
}

type OfAll = fn(&Snapshot) -> f64;
type OfClient = fn(&Client) -> f64;
type OfServer = fn(&Server) -> f64;
type Counters = fn(&Server) -> &Named<u64>;
type Latencies = fn(&Server) -> Vec<(Option<&'static str>, &Latency)>;

const ADDRESS: &str = "memcache_server_address_info";
const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

const ALL: [(&str, &str, &str, OfAll); 5] = [
    ("memcache_workers", GAUGE, "Workers that the numbers are of.", |all| float(all.workers.len() as u64)),
    (
        "memcache_zone",
        GAUGE,
        "Whether the numbers are of all workers; without memcache_zone they are of the one that answers.",
        |all| is(all.scope == Scope::Zone),
    ),
    ("memcache_retained_bytes", GAUGE, "Values that modules keep, in the worker that answers.", |all| {
        float(all.retained.bytes as u64)
    }),
    ("memcache_retained_limit_bytes", GAUGE, "The most of that: memcache_max_retained.", |all| {
        float(all.retained.max as u64)
    }),
    ("memcache_retained_refused_total", COUNTER, "Values that were not kept, in the worker that answers.", |all| {
        float(all.retained.refused)
    }),
];

const CLIENTS: [(&str, &str, &str, OfClient); 4] = [
    ("memcache_operations_pending", GAUGE, "Operations under way.", |client| float(client.pending)),
    ("memcache_queue_limit", GAUGE, "Operations that may wait for a server: memcache_queue.", |client| {
        float(client.queue as u64)
    }),
    ("memcache_turns_cut_total", COUNTER, "Turns of the event loop that were not enough for the work.", |client| {
        float(client.turns_cut)
    }),
    (
        "memcache_longest_handlers_seconds",
        GAUGE,
        "The longest time that the handlers of one turn of the event loop took.",
        |client| float(client.longest_handlers_ms) / 1e3,
    ),
];

const SERVERS: [(&str, &str, &str, OfServer); 24] = [
    ("memcache_server_up", GAUGE, "Whether operations are sent to the server.", |s| is(s.state == State::Live)),
    ("memcache_server_disabled", GAUGE, "Whether the server was taken out of use.", |s| is(s.state == State::Disabled)),
    ("memcache_server_state_timestamp_seconds", GAUGE, "When the server went up, down, or out of use.", |s| {
        float(s.since) / 1e3
    }),
    ("memcache_server_weight", GAUGE, "The server's share of the keys.", |s| s.weight.into()),
    ("memcache_connections_idle", GAUGE, "Connections without a pending reply.", |s| float(s.connections.idle)),
    ("memcache_connections_busy", GAUGE, "Connections with a pending reply.", |s| float(s.connections.busy)),
    ("memcache_connections_connecting", GAUGE, "Connections that are not ready yet.", |s| {
        float(s.connections.connecting)
    }),
    ("memcache_connections_min", GAUGE, "Connections that each worker keeps open.", |s| s.pool.min.into()),
    ("memcache_connections_smax", GAUGE, "Connections that may idle for longer than ttl, per worker.", |s| {
        s.pool.smax.into()
    }),
    ("memcache_connections_max", GAUGE, "Connections that each worker may have.", |s| s.pool.max.into()),
    ("memcache_connections_opened_total", COUNTER, "Connections that became ready.", |s| float(s.connections.opened)),
    ("memcache_connections_failed_total", COUNTER, "Connections that never became ready.", |s| {
        float(s.connections.failed)
    }),
    ("memcache_connections_lost_total", COUNTER, "Connections that ended abnormally.", |s| float(s.connections.lost)),
    ("memcache_replies_pending", GAUGE, "Replies that are awaited.", |s| float(s.pending)),
    ("memcache_operations_queued", GAUGE, "Operations that wait for a connection.", |s| float(s.queued)),
    ("memcache_hits_total", COUNTER, "Gets that found an item.", |s| float(s.hits)),
    ("memcache_misses_total", COUNTER, "Gets that found none.", |s| float(s.misses)),
    ("memcache_coalesced_total", COUNTER, "Gets that shared the exchange of another one.", |s| float(s.coalesced)),
    ("memcache_retried_total", COUNTER, "Operations that were sent again.", |s| float(s.retried)),
    ("memcache_failed_over_total", COUNTER, "Operations that another server stood in for.", |s| float(s.failed_over)),
    ("memcache_handed_back_total", COUNTER, "Leases that nobody could use, and that were handed back.", |s| {
        float(s.handed_back)
    }),
    ("memcache_received_bytes_total", COUNTER, "Bytes received from the server.", |s| float(s.bytes.read)),
    ("memcache_sent_bytes_total", COUNTER, "Bytes sent to the server.", |s| float(s.bytes.written)),
    ("memcache_last_error_timestamp_seconds", GAUGE, "When the last error was; 0 if there was none.", |s| {
        s.last_error.as_ref().map_or(0.0, |error| float(error.at) / 1e3)
    }),
];

const COUNTERS: [(&str, &str, &str, Counters); 3] = [
    ("memcache_operations_total", "op", "Operations that were accepted.", |s| &s.operations),
    ("memcache_errors_total", "class", "Operations that failed; a miss is none.", |s| &s.errors),
    ("memcache_limits_total", "class", "How often a limit was hit.", |s| &s.limits),
];

const HISTOGRAMS: [(&str, &str, Latencies); 2] = [
    ("memcache_operation_duration_seconds", "From submit to completion.", |s| {
        s.latency_by_kind.iter().map(|(op, latency)| (Some(*op), latency)).collect()
    }),
    ("memcache_queue_duration_seconds", "From submit until a connection takes the operation.", |s| {
        vec![(None, &s.queue_time)]
    }),
];

/// What was written so far, and what of the snapshot is to be written.
struct Metrics<'a> {
    text: &'a mut Pieces,
    snapshot: &'a Snapshot,
    clients: Range<usize>,
}

// What there is no memory for is known to the pieces.
impl<'a> Metrics<'a> {
    /// Writes the metric with this number; `None`: there is none.
    fn write(&mut self, metric: usize) -> Option<()> {
        let Some(mut at) = metric.checked_sub(1) else {
            self.build_info();
            return Some(());
        };
        if let Some(&(name, kind, help, value)) = ALL.get(at) {
            self.head(name, kind, help);
            let _ = writeln!(self.text, "{name} {}", value(self.snapshot));
            return Some(());
        }
        at = at.saturating_sub(ALL.len());
        if let Some(&(name, kind, help, value)) = CLIENTS.get(at) {
            self.clients(name, kind, help, value);
            return Some(());
        }
        let Some(at) = at.saturating_sub(CLIENTS.len()).checked_sub(1) else {
            self.addresses();
            return Some(());
        };
        if let Some(&(name, kind, help, value)) = SERVERS.get(at) {
            self.servers(name, kind, help, value);
            return Some(());
        }
        let at = at.saturating_sub(SERVERS.len());
        if let Some(&(name, label, help, values)) = COUNTERS.get(at) {
            self.counters(name, label, help, values);
            return Some(());
        }
        let &(name, help, latencies) = HISTOGRAMS.get(at.saturating_sub(COUNTERS.len()))?;
        self.histograms(name, help, latencies);
        Some(())
    }

    /// The servers of the clients that are to be written, with their labels.
    fn of(&self) -> impl Iterator<Item = (Labels<'a>, &'a Server)> {
        let (first, count) = (self.clients.start, self.clients.len());
        let clients = self.snapshot.clients.iter().skip(first).take(count);
        clients.flat_map(|client| {
            client.servers.iter().map(|server| (Labels { client: &client.name, server: &server.address }, server))
        })
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        if self.clients.start > 0 {
            return;
        }
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn build_info(&mut self) {
        let Snapshot { version, abi, nginx, .. } = self.snapshot;
        self.head("memcache_build_info", GAUGE, "Always 1; the versions are in the labels.");
        let _ = writeln!(
            self.text,
            "memcache_build_info{{version=\"{}\",abi=\"{}\",nginx=\"{}\"}} 1",
            Escaped(version),
            Escaped(abi),
            Escaped(nginx)
        );
    }

    fn addresses(&mut self) {
        self.head(ADDRESS, GAUGE, "Always 1; the address that the server is asked at is in the label.");
        for (of, server) in self.of() {
            let _ = writeln!(self.text, "{ADDRESS}{{{of},address=\"{}\"}} 1", Escaped(&server.asked_at));
        }
    }

    fn clients(&mut self, name: &str, kind: &str, help: &str, value: OfClient) {
        self.head(name, kind, help);
        let (first, count) = (self.clients.start, self.clients.len());
        for client in self.snapshot.clients.iter().skip(first).take(count) {
            let _ = writeln!(self.text, "{name}{{client=\"{}\"}} {}", Escaped(&client.name), value(client));
        }
    }

    fn servers(&mut self, name: &str, kind: &str, help: &str, value: OfServer) {
        self.head(name, kind, help);
        for (of, server) in self.of() {
            let _ = writeln!(self.text, "{name}{{{of}}} {}", value(server));
        }
    }

    fn counters(&mut self, name: &str, label: &str, help: &str, values: Counters) {
        self.head(name, COUNTER, help);
        for (of, server) in self.of() {
            for (class, value) in values(server) {
                let _ = writeln!(self.text, "{name}{{{of},{label}=\"{}\"}} {value}", Escaped(class));
            }
        }
    }

    fn histograms(&mut self, name: &str, help: &str, latencies: Latencies) {
        self.head(name, "histogram", help);
        let servers = self.snapshot.clients.iter().map(|client| client.servers.len()).fold(0, usize::saturating_add);
        let coarse = servers > MAX_HISTOGRAMS;
        for (of, server) in self.of() {
            for (op, latency) in latencies(server) {
                self.histogram(name, &format!("{of}{}", Op(op)), latency, coarse);
            }
        }
    }

    fn histogram(&mut self, name: &str, labels: &str, latency: &Latency, coarse: bool) {
        let mut buckets = latency.buckets.iter().peekable();
        let mut below = 0u64;
        for bound in BOUNDS.filter(|_| !coarse).map(|exponent| 1u64.checked_shl(exponent).unwrap_or(u64::MAX)) {
            // A time below 64 µs is at most 63 whole ones.
            while let Some(bucket) = buckets.next_if(|bucket| bucket.le_us < bound) {
                below = below.saturating_add(bucket.count);
            }
            let _ = writeln!(self.text, "{name}_bucket{{{labels},le=\"{}\"}} {below}", float(bound) / 1e6);
        }
        // What is counted while the snapshot is made may be in one of the numbers and not in the other.
        let count = buckets.fold(below, |count, bucket| count.saturating_add(bucket.count));
        let _ = writeln!(
            self.text,
            "{name}_bucket{{{labels},le=\"+Inf\"}} {count}\n{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {count}",
            float(latency.sum_us) / 1e6
        );
    }
}

struct Labels<'a> {
    client: &'a str,
    server: &'a str,
}

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client=\"{}\",server=\"{}\"", Escaped(self.client), Escaped(self.server))
    }
}

struct Op(Option<&'static str>);

impl Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |op| write!(f, ",op=\"{}\"", Escaped(op)))
    }
}

/// The value of a label.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

fn is(truth: bool) -> f64 {
    truth.into()
}

/// What Prometheus makes of every number anyway.
#[allow(clippy::cast_precision_loss)]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples;
    use crate::snapshot::Bucket;

    fn lines(text: &str, start: &str) -> Vec<String> {
        text.lines().filter(|line| line.starts_with(start)).map(String::from).collect()
    }

    #[test]
    fn every_metric_is_introduced_once_and_has_values() {
        let text = render(&samples::servers(3));
        let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        assert_eq!(names.len(), 2 + ALL.len() + CLIENTS.len() + SERVERS.len() + COUNTERS.len() + HISTOGRAMS.len());
        for name in &names {
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
            assert_eq!(lines(&text, &format!("# HELP {name} ")).len(), 1, "{name}");
            assert!(!lines(&text, name).is_empty(), "{name}");
        }
    }

    #[test]
    fn the_readme_has_every_metric() {
        let readme = include_str!("../README.md");
        let text = render(&samples::servers(3));
        for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
            assert!(readme.contains(&format!("`{name}`")), "{name} is not in the README");
        }
    }

    #[test]
    fn r51_many_servers_have_no_buckets_each() {
        let mut snapshot = samples::servers(MAX_HISTOGRAMS);
        let all = lines(&render(&snapshot), "memcache_operation_duration_seconds_bucket").len();
        assert_eq!(all, 16 * lines(&render(&snapshot), "memcache_operation_duration_seconds_count").len());
        snapshot = samples::servers(MAX_HISTOGRAMS + 1);
        let text = render(&snapshot);
        let count = lines(&text, "memcache_operation_duration_seconds_count").len();
        assert_eq!(lines(&text, "memcache_operation_duration_seconds_bucket").len(), count);
        assert_eq!(lines(&text, "memcache_operation_duration_seconds_sum").len(), count);
    }

    #[test]
    fn r51_many_clients_are_written_a_few_at_a_time() {
        let mut snapshot = samples::servers(1);
        let one = snapshot.clients[0].clone();
        snapshot.clients = vec![one; 2 * STEP + 3];
        snapshot.clients.iter_mut().enumerate().for_each(|(n, client)| client.name = n.to_string());
        let text = render(&snapshot);
        for client in 0..snapshot.clients.len() {
            assert_eq!(lines(&text, &format!("memcache_server_up{{client=\"{client}\",")).len(), 1);
            assert_eq!(lines(&text, &format!("memcache_queue_limit{{client=\"{client}\"}}")).len(), 1);
        }
        assert_eq!(lines(&text, "# TYPE memcache_server_up ").len(), 1);
        let (mut at, mut out, mut before) = (Cursor::default(), Pieces::default(), 0);
        while step(&snapshot, &mut at, &mut out) {
            assert!(out.len() - before < 200_000);
            before = out.len();
        }
    }

    #[test]
    fn buckets_add_up() {
        let mut snapshot = samples::servers(3);
        let bucket = |le_us, count| Bucket { le_us, count };
        snapshot.clients[0].servers.truncate(1);
        snapshot.clients[0].servers[0].queue_time = Latency {
            count: 10,
            sum_us: 5_000_000,
            buckets: vec![bucket(63, 1), bucket(64, 2), bucket(127, 3), bucket(9_000_000, 4)],
            ..Latency::default()
        };
        let text = render(&snapshot);
        let of = "{client=\"example.com\",server=\"10.0.0.1:11211\"";
        let got = lines(&text, "memcache_queue_duration_seconds");
        assert_eq!(got[0], format!("memcache_queue_duration_seconds_bucket{of},le=\"0.000064\"}} 1"));
        assert_eq!(got[1], format!("memcache_queue_duration_seconds_bucket{of},le=\"0.000128\"}} 6"));
        assert_eq!(got[14], format!("memcache_queue_duration_seconds_bucket{of},le=\"1.048576\"}} 6"));
        assert_eq!(got[15], format!("memcache_queue_duration_seconds_bucket{of},le=\"+Inf\"}} 10"));
        assert_eq!(got[16], format!("memcache_queue_duration_seconds_sum{of}}} 5"));
        assert_eq!(got[17], format!("memcache_queue_duration_seconds_count{of}}} 10"));
        assert_eq!(got.len(), 18);
    }

    /// As Prometheus reads the value of a label.
    fn unescape(text: &str) -> Option<String> {
        let mut chars = text.chars();
        let mut value = String::new();
        while let Some(c) = chars.next() {
            match c {
                '"' | '\n' => return None,
                '\\' => value.push(match chars.next()? {
                    '\\' => '\\',
                    '"' => '"',
                    'n' => '\n',
                    _ => return None,
                }),
                c => value.push(c),
            }
        }
        Some(value)
    }

    proptest! {
        #[test]
        fn any_label_comes_back(text in "\\PC*|[\\\\\"\na-c]*") {
            prop_assert_eq!(unescape(&Escaped(&text).to_string()), Some(text));
        }
    }
}
