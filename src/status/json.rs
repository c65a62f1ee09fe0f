//! The page: JSON of clients and their servers.

#![forbid(unsafe_code)]

use core::fmt::{self, Display};

use memcache_engine::{Client, ServerView};
use nginx_sys::NGINX_VERSION;

use crate::abi::Callback;
use crate::cluster::Cluster;
use crate::sys::{NGX_HTTP_MEMCACHE_ABI_MAJOR, NGX_HTTP_MEMCACHE_ABI_MINOR};

/// Everything about the clients of this worker.
pub fn page<'a>(clusters: impl Iterator<Item = &'a Cluster>, pid: i32) -> String {
    let clients = clusters.filter_map(|cluster| {
        let driver = cluster.running()?;
        driver.view(|client| Page { client, turns_cut: driver.turns_cut() }.to_string())
    });
    format!(
        "{{\"version\":{},\"abi\":\"{}.{}\",\"nginx\":{},\"pid\":{pid},\"scope\":\"worker\",\"clients\":[{}]}}\n",
        Text(env!("CARGO_PKG_VERSION").as_bytes()),
        NGX_HTTP_MEMCACHE_ABI_MAJOR,
        NGX_HTTP_MEMCACHE_ABI_MINOR,
        Text(NGINX_VERSION.to_bytes()),
        clients.collect::<Vec<_>>().join(","),
    )
}

/// A client.
struct Page<'a> {
    client: &'a Client<Callback>,
    turns_cut: u64,
}

impl Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.client.config();
        write!(
            f,
            "{{\"hash\":{},\"failover\":{},\"timeout_ms\":{},\"connect_timeout_ms\":{},\"max_fails\":{},\"retry_ms\":{},",
            Text(config.hash.name().as_bytes()),
            Text(config.failover.name().as_bytes()),
            config.timeout.as_millis(),
            config.connect_timeout.as_millis(),
            config.max_fails,
            config.retry.as_millis(),
        )?;
        write!(
            f,
            "\"pipeline\":{},\"queue\":{},\"max_value\":{},\"pending\":{},\"coalesce\":{},\"turns_cut\":{},\"servers\":[",
            config.pipeline,
            config.queue,
            config.max_value,
            self.client.pending(),
            config.coalesce,
            self.turns_cut,
        )?;
        for (index, server) in (0..config.servers.len()).filter_map(|id| self.client.server(id)).enumerate() {
            write!(f, "{}{}", if index > 0 { "," } else { "" }, Server(server))?;
        }
        f.write_str("]}")
    }
}

/// A server of a client.
struct Server<'a>(ServerView<'a>);

impl Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServerView { config, state, stats, .. } = &self.0;
        let state = state.name();
        let pool = config.pool;
        write!(
            f,
            "{{\"address\":{},\"state\":\"{state}\",\"weight\":{},\
             \"pool\":{{\"min\":{},\"smax\":{},\"max\":{},\"ttl\":{}}},",
            Text(&config.name),
            config.weight,
            pool.min(),
            pool.smax(),
            pool.max(),
            pool.ttl(),
        )?;
        write!(
            f,
            "\"connections\":{{\"open\":{},\"connecting\":{},\"idle\":{},\"busy\":{},\
             \"opened\":{},\"failed\":{},\"lost\":{}}},\"pending\":{},\"queued\":{},",
            self.0.open,
            self.0.connecting,
            self.0.idle,
            self.0.busy,
            stats.opened,
            stats.failed,
            stats.lost,
            self.0.pending,
            self.0.queued,
        )?;
        write!(
            f,
            "\"operations\":{},\"hits\":{},\"misses\":{},\"errors\":{},\"limits\":{},\
             \"coalesced\":{},\"retried\":{},\"failed_over\":{},\"bytes\":{{\"read\":{},\"written\":{}}}}}",
            Counters(&stats.operations.list().collect::<Vec<_>>()),
            stats.hits,
            stats.misses,
            Counters(&stats.errors.list().collect::<Vec<_>>()),
            Counters(&stats.limits.list().collect::<Vec<_>>()),
            stats.coalesced,
            stats.retried,
            stats.failed_over,
            stats.bytes_read,
            stats.bytes_written,
        )
    }
}

/// An object of numbers.
struct Counters<'a>(&'a [(&'static str, u64)]);

impl Display for Counters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{}:{value}", if index > 0 { "," } else { "" }, Text(name.as_bytes()))?;
        }
        f.write_str("}")
    }
}

/// A string, quoted and escaped. What is not UTF-8 becomes U+FFFD.
struct Text<'a>(&'a [u8]);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in String::from_utf8_lossy(self.0).chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                // Beyond what JSON asks for: whoever puts the page into HTML or a terminal is safe as well.
                c if c.is_control() || matches!(c, '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}') => {
                    write!(f, "\\u{:04x}", u32::from(c))?;
                }
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}
