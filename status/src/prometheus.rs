//! A snapshot as metrics in the text format of Prometheus.
//!
//! The labels are `client`, its name, `server`, its address as configured, `module`, its name, and `op` or `class`,
//! words of the engine: the configuration determines their number.

mod table;

use std::fmt::{self, Display, Write as _};
use std::ops::Range;

use crate::pieces::{Cursor, Pieces};
use crate::snapshot::{Latency, Server, Snapshot};

use self::table::{
    float, Counters, Latencies, OfClient, OfModule, OfServer, ADDRESS, ALL, CLIENTS, COUNTER, COUNTERS, GAUGE,
    HISTOGRAMS, MODULES, PROTOCOL, SERVERS,
};

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
/// With more servers than these, a histogram of a server has only its last bucket: the buckets are most of the hundred
/// series of a server.
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

/// The text so far, and the part of the snapshot that is to be written.
struct Metrics<'a> {
    text: &'a mut Pieces,
    snapshot: &'a Snapshot,
    clients: Range<usize>,
}

// The pieces note a lack of memory.
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
        at = at.saturating_sub(CLIENTS.len());
        if let Some(&(name, kind, help, value)) = MODULES.get(at) {
            self.modules(name, kind, help, value);
            return Some(());
        }
        let Some(at) = at.saturating_sub(MODULES.len()).checked_sub(1) else {
            self.addresses();
            self.protocols();
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
            client.servers.iter().map(|server| (Labels { cluster: &client.cluster, server: &server.address }, server))
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
        for (of, server) in self.of().filter(|(_, server)| !server.asked_at.is_empty()) {
            let _ = writeln!(self.text, "{ADDRESS}{{{of},address=\"{}\"}} 1", Escaped(&server.asked_at));
        }
    }

    fn protocols(&mut self) {
        self.head(PROTOCOL, GAUGE, "Always 1; the protocol that the server is spoken to in is in the label.");
        for (of, server) in self.of() {
            let protocol = server.protocol.unwrap_or("unknown");
            let _ = writeln!(self.text, "{PROTOCOL}{{{of},protocol=\"{}\"}} 1", Escaped(protocol));
        }
    }

    fn clients(&mut self, name: &str, kind: &str, help: &str, value: OfClient) {
        self.head(name, kind, help);
        let (first, count) = (self.clients.start, self.clients.len());
        for client in self.snapshot.clients.iter().skip(first).take(count) {
            let _ = writeln!(self.text, "{name}{{cluster=\"{}\"}} {}", Escaped(&client.cluster), value(client));
        }
    }

    fn modules(&mut self, name: &str, kind: &str, help: &str, value: OfModule) {
        self.head(name, kind, help);
        let (first, count) = (self.clients.start, self.clients.len());
        for client in self.snapshot.clients.iter().skip(first).take(count) {
            let cluster = Escaped(&client.cluster);
            for module in &client.modules {
                let (module_name, value) = (Escaped(&module.name), value(module));
                let _ = writeln!(self.text, "{name}{{cluster=\"{cluster}\",module=\"{module_name}\"}} {value}");
            }
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
        // An operation that ends while the snapshot is made may be in only one of the numbers.
        let count = buckets.fold(below, |count, bucket| count.saturating_add(bucket.count));
        let _ = writeln!(
            self.text,
            "{name}_bucket{{{labels},le=\"+Inf\"}} {count}\n{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {count}",
            float(latency.sum_us) / 1e6
        );
    }
}

struct Labels<'a> {
    cluster: &'a str,
    server: &'a str,
}

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster=\"{}\",server=\"{}\"", Escaped(self.cluster), Escaped(self.server))
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

#[cfg(test)]
mod tests;
