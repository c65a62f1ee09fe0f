//! The list of servers of a configuration endpoint.
//!
//! A configuration endpoint is a memcached of AWS ElastiCache, or a service of GCP Memorystore, that knows the servers of its
//! cluster. Its answer is input from outside that becomes names, addresses and log lines. So an answer is taken as a whole,
//! or refused with the reason.
//!
//! Source: AWS's "Adding Auto Discovery to your Memcached client library", Google's "Use the Auto Discovery service", and
//! `parse_memcached_configuration` of AWS's libmemcached, which accepts the same form.

use std::collections::HashSet;
use std::net::IpAddr;

use thiserror::Error;

use crate::limits::{MAX_DISCOVERY, MAX_SERVERS};
use crate::operation::error::Error as Failure;
use crate::operation::reply::{Answer, Outcome};
use crate::operation::request::DiscoverBy;

/// The longest host name in bytes, and its longest part between dots.
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// The most bytes of an answer that are quoted, before they are escaped.
const QUOTED: usize = 64;

/// The servers that a configuration endpoint has named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The endpoint's number of its list. It grows when a server is added or removed, but not when one gets another
    /// address: so compare the servers, and show this.
    pub version: u64,
    /// The servers, sorted by name: two answers that differ in the order alone are equal. At least one and at most
    /// [`MAX_SERVERS`], each name once.
    pub nodes: Vec<Node>,
}

/// A server that a configuration endpoint has named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    host: String,
    /// Its address; `None`: the host has to be resolved.
    pub ip: Option<IpAddr>,
    /// Its port, never 0.
    pub port: u16,
}

impl Node {
    /// The host, as it was given: a host name with ASCII letters, digits, `-`, `_` and `.`, or an IP address without
    /// brackets. A certificate is for this name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The server's name for hashing, logs and diagnostics: `host:port`, and `[address]:port` for IPv6. It is what a
    /// `memcache_server` of the same server has.
    ///
    /// A replaced server has another address, but its host name again, so its keys stay. Other clients do this:
    ///
    /// | client | hashes | connects to |
    /// |---|---|---|
    /// | AWS's libmemcached, and PHP with it | the host, and the port unless it is 11211 | the address, or else the host |
    /// | Ruby's dalli-elasticache; most clients for Node.js | `host:port` | the host |
    /// | AWS's client for Java | `address:port`, or `host/address:port` | the address, or else the host |
    /// | pymemcache | `address:port`; with `use_vpc=False`, `host:port` | the same |
    ///
    /// [`Hash::Ketama`](super::Hash) omits the port 11211 by itself. Memorystore has addresses for hosts: there is no
    /// difference.
    pub fn name(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Why there is no list in an answer. Quoted bytes are escaped, and few.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DiscoveryError {
    /// There was no answer, or an error.
    #[error("{0}")]
    Failed(Failure),
    /// The endpoint knows the question, but has no list.
    #[error("it has no list of servers")]
    Missing,
    /// The answer is longer than [`MAX_DISCOVERY`].
    #[error("a list of {0} bytes is larger than the limit of {MAX_DISCOVERY}")]
    TooLong(usize),
    /// The answer is not a line with the version and one with the servers.
    #[error("\"{0}\" is not a version and a line of servers")]
    Form(String),
    /// The version is not a number.
    #[error("\"{0}\" is not a version")]
    Version(String),
    /// No server is named.
    #[error("it names no server")]
    Empty,
    /// There are more than [`MAX_SERVERS`].
    #[error("it names more than {MAX_SERVERS} servers")]
    TooMany,
    /// A server is not `host|address|port`.
    #[error("\"{0}\" is not host|address|port")]
    Node(String),
    /// The host is neither a host name nor an address.
    #[error("\"{0}\" has no valid host")]
    Host(String),
    /// The address is none, or not that of a server.
    #[error("\"{0}\" has no valid address")]
    Address(String),
    /// The port is not one of 1 to 65535.
    #[error("\"{0}\" has no valid port")]
    Port(String),
    /// A server is named twice.
    #[error("\"{0}\" is named twice")]
    Twice(String),
}

impl DiscoverBy {
    /// How to ask again after this answer; `None`: there is no other way, or no need of it. A memcached that does not know
    /// `config` answers with ERROR.
    pub fn otherwise(self, answer: &Answer) -> Option<DiscoverBy> {
        match (self, answer) {
            (DiscoverBy::Config, Err(Failure::Client(_))) => Some(DiscoverBy::Item),
            _ => None,
        }
    }
}

impl Discovery {
    /// Reads the answer to a [`Discover`](crate::ServerVerb::Discover).
    pub fn of(answer: &Answer) -> Result<Discovery, DiscoveryError> {
        match answer {
            Ok(Outcome::Text(list)) => Discovery::parse(list),
            Ok(_) => Err(DiscoveryError::Missing),
            Err(Failure::TooLarge { size, .. }) => Err(DiscoveryError::TooLong(*size)),
            Err(failure) => Err(DiscoveryError::Failed(failure.clone())),
        }
    }

    /// Reads a list: a line with the version, and a line with the servers, each `host|address|port` and a space between
    /// them. The address may be empty. Lines end with a line feed, or with CR and line feed; what follows is empty.
    pub fn parse(list: &[u8]) -> Result<Discovery, DiscoveryError> {
        if list.len() > MAX_DISCOVERY {
            return Err(DiscoveryError::TooLong(list.len()));
        }
        let mut lines = list.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let (Some(version), Some(servers), true) = (lines.next(), lines.next(), lines.all(<[u8]>::is_empty)) else {
            return Err(DiscoveryError::Form(quoted(list)));
        };
        let version = number(version).ok_or_else(|| DiscoveryError::Version(quoted(version)))?;
        let mut nodes = Vec::new();
        let mut names = HashSet::new();
        for text in servers.split(|&b| b == b' ').filter(|text| !text.is_empty()) {
            if nodes.len() == MAX_SERVERS {
                return Err(DiscoveryError::TooMany);
            }
            let node = Node::parse(text)?;
            let name = node.name();
            // Host names are equal in either case.
            if !names.insert(name.to_ascii_lowercase()) {
                return Err(DiscoveryError::Twice(quoted(text)));
            }
            nodes.push((name, node));
        }
        if nodes.is_empty() {
            return Err(DiscoveryError::Empty);
        }
        nodes.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Discovery { version, nodes: nodes.into_iter().map(|(_, node)| node).collect() })
    }
}

impl Node {
    fn parse(text: &[u8]) -> Result<Node, DiscoveryError> {
        let mut parts = text.split(|&b| b == b'|');
        let (Some(host), Some(ip), Some(port), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(DiscoveryError::Node(quoted(text)));
        };
        let host = std::str::from_utf8(host).ok().filter(|host| is_host(host));
        let host = host.ok_or_else(|| DiscoveryError::Host(quoted(text)))?;
        let own = host.parse::<IpAddr>().ok();
        let ip = if ip.is_empty() { Ok(own) } else { address(ip).map(Some).ok_or(()) };
        // An address for a host is an address of its own.
        let is_one = |ip: &Option<IpAddr>| ip.is_none_or(is_server) && own.is_none_or(is_server);
        let ip = ip.ok().filter(is_one).ok_or_else(|| DiscoveryError::Address(quoted(text)))?;
        let port = number(port).and_then(|port| u16::try_from(port).ok()).filter(|&port| port != 0);
        let port = port.ok_or_else(|| DiscoveryError::Port(quoted(text)))?;
        Ok(Node { host: host.into(), ip, port })
    }
}

fn address(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether a server may have this address.
fn is_server(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

/// Whether it is an IP address or a host name. A name that ends with a number is none: resolvers take it for an address.
fn is_host(text: &str) -> bool {
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let is_label = |label: &str| {
        let is_in = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(is_in) && !label.starts_with('-')
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit()) || label.starts_with("0x");
    text.len() <= MAX_HOST && text.split('.').all(is_label) && !text.rsplit('.').next().is_some_and(is_number)
}

/// Digits alone: `from_str` takes a plus sign, too.
fn number(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

fn quoted(text: &[u8]) -> String {
    let dots = if text.len() > QUOTED { "..." } else { "" };
    format!("{}{dots}", text.get(..QUOTED).unwrap_or(text).escape_ascii())
}

#[cfg(test)]
mod tests;
