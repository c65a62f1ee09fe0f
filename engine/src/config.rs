//! A cluster as configured: types that cannot hold a bad value, and the parameters of `memcache_server`.

mod weights;

use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

pub use weights::{WeightError, MAX_RING_WEIGHT};

/// The longest timeout that an operation, a connect or a retry may have.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest time, in seconds, that a pooled connection may idle: 365 days.
pub const MAX_IDLE: u32 = 365 * 24 * 60 * 60;
/// The most connections that a pool may be allowed.
pub const MAX_CONNECTIONS: u32 = 65_535;
/// The largest weight of a server.
pub const MAX_WEIGHT: u32 = 65_535;
/// The port of an address without one.
pub const DEFAULT_PORT: u16 = 11_211;
/// The most servers of one client.
pub const MAX_SERVERS: usize = 16_384;

/// What is wrong with a `memcache_server` line; the text is what `nginx -t` prints.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ParamError {
    /// Not `name=value` with a known name and a value in range.
    #[error("invalid parameter \"{}\"", .0.escape_ascii())]
    Invalid(Vec<u8>),
    /// A parameter that was given before.
    #[error("duplicate parameter \"{}\"", .0.escape_ascii())]
    Duplicate(Vec<u8>),
    /// Pool numbers that contradict each other.
    #[error("\"{low}\" value {low_value} must not exceed \"{high}\" value {high_value}")]
    Order {
        /// The parameter that is too large.
        low: &'static str,
        /// Its value.
        low_value: u32,
        /// The parameter that it may not exceed.
        high: &'static str,
        /// Its value.
        high_value: u32,
    },
}

/// The four numbers of a pool, per server and worker: `min <= smax <= max` and `max >= 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    min: u32,
    smax: u32,
    max: u32,
    ttl: u32,
}

impl PoolLimits {
    /// Connections that are opened at start and kept.
    pub fn min(&self) -> u32 {
        self.min
    }

    /// Connections that may stay idle for longer than `ttl`.
    pub fn smax(&self) -> u32 {
        self.smax
    }

    /// Connections that there may be at all.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Seconds after which an idle connection above `smax` closes; 0: never.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }
}

/// The parameters behind the address of a `memcache_server` line, as they are read one by one.
#[derive(Clone, Debug, Default)]
pub struct ServerParams {
    min: Option<u32>,
    smax: Option<u32>,
    max: Option<u32>,
    ttl: Option<u32>,
    weight: Option<u32>,
}

impl ServerParams {
    /// Default of `smax`.
    pub const SMAX: u32 = 2;
    /// Default of `max`.
    pub const MAX: u32 = 8;
    /// Default of `ttl`, in seconds.
    pub const TTL: u32 = 60;

    /// Reads one `name=value`.
    pub fn parse(&mut self, param: &[u8]) -> Result<(), ParamError> {
        let invalid = || ParamError::Invalid(param.to_vec());
        let equals = memchr::memchr(b'=', param).ok_or_else(invalid)?;
        let (name, value) = param.split_at_checked(equals).ok_or_else(invalid)?;
        let value = value.strip_prefix(b"=").ok_or_else(invalid)?;
        let (slot, parsed) = match name {
            b"min" => (&mut self.min, parse_number(value, 0, MAX_CONNECTIONS)),
            b"smax" => (&mut self.smax, parse_number(value, 0, MAX_CONNECTIONS)),
            b"max" => (&mut self.max, parse_number(value, 1, MAX_CONNECTIONS)),
            b"weight" => (&mut self.weight, parse_number(value, 1, MAX_WEIGHT)),
            b"ttl" => (&mut self.ttl, parse_seconds(value).filter(|&secs| secs <= MAX_IDLE)),
            _ => return Err(invalid()),
        };
        let parsed = parsed.ok_or_else(invalid)?;
        match slot.replace(parsed) {
            None => Ok(()),
            Some(_) => Err(ParamError::Duplicate(param.to_vec())),
        }
    }

    /// The pool's numbers and the weight. A default gives way to a number that was written down: `max=1` alone means
    /// `smax=1`.
    pub fn finish(&self) -> Result<(PoolLimits, u32), ParamError> {
        let min = self.min.unwrap_or(0);
        let max = self.max.unwrap_or(Self::MAX.max(min).max(self.smax.unwrap_or(0)));
        let smax = self.smax.unwrap_or(Self::SMAX.max(min).min(max));
        let order = |low, low_value, high, high_value| {
            if low_value <= high_value {
                return Ok(());
            }
            Err(ParamError::Order { low, low_value, high, high_value })
        };
        order("min", min, "max", max)?;
        order("smax", smax, "max", max)?;
        order("min", min, "smax", smax)?;
        let ttl = self.ttl.unwrap_or(Self::TTL);
        Ok((PoolLimits { min, smax, max, ttl }, self.weight.unwrap_or(1)))
    }
}

/// Decimal digits and nothing else, within the range.
fn parse_number(text: &[u8], least: u32, most: u32) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = std::str::from_utf8(text).ok()?.parse().ok()?;
    (least..=most).contains(&number).then_some(number)
}

/// nginx's time syntax in seconds: a plain number, or numbers with the units y, M, w, d, h, m, s, each at most once
/// and in this order. Unlike nginx, a number without a unit behind one with a unit (`1s1`) is refused.
pub fn parse_seconds(text: &[u8]) -> Option<u32> {
    const UNITS: [(u8, u32); 7] =
        [(b'y', 31_536_000), (b'M', 2_592_000), (b'w', 604_800), (b'd', 86_400), (b'h', 3_600), (b'm', 60), (b's', 1)];
    if let Some(plain) = parse_number(text, 0, u32::MAX) {
        return Some(plain);
    }
    let mut units = UNITS.iter();
    let mut rest = text;
    let mut total = 0u32;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let number = parse_number(number, 0, u32::MAX)?;
        let (unit, tail) = tail.split_first()?;
        let (_, scale) = units.find(|(name, _)| name == unit)?;
        total = total.checked_add(number.checked_mul(*scale)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// A server of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address as configured, with its port: what logs and diagnostics show and what hashing uses.
    pub name: Bytes,
    /// How many socket addresses the name stands for; a connect that fails is tried on the next.
    pub addresses: usize,
    /// The pool's numbers.
    pub pool: PoolLimits,
    /// The server's share of the keys.
    pub weight: u32,
}

/// How keys are spread over the servers (`memcache_hash`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hash {
    /// `((crc32 >> 16) & 0x7fff)` modulo the sum of the weights: nginx `hash $key`, and apr_memcache, which has no
    /// weights and takes 0 for 1.
    #[default]
    Modulo,
    /// The CRC-32 ring of nginx `hash $key consistent`.
    Consistent,
    /// The weighted MD5 ring of libmemcached, which is PHP's `OPT_LIBKETAMA_COMPATIBLE` and twemproxy's `ketama` with
    /// `md5`.
    Ketama,
    /// The highest random weight of `memcache::exp`, in the crate `memcache`; without weights.
    Rendezvous,
}

impl Hash {
    const ALL: [Hash; 4] = [Hash::Modulo, Hash::Consistent, Hash::Ketama, Hash::Rendezvous];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Hash::Modulo => "modulo",
            Hash::Consistent => "consistent",
            Hash::Ketama => "ketama",
            Hash::Rendezvous => "rendezvous",
        }
    }

    /// The hash with this word.
    pub fn parse(word: &[u8]) -> Option<Hash> {
        Hash::ALL.into_iter().find(|hash| hash.name().as_bytes() == word)
    }
}

/// What becomes of the operations for a server that is down (`memcache_failover`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failover {
    /// They fail at once. Its keys stay where they are, so nothing stale appears when it returns.
    #[default]
    Off,
    /// The next live server stands in for it. When it returns it has what it had before, outdated or not.
    Next,
}

impl Failover {
    const ALL: [Failover; 2] = [Failover::Off, Failover::Next];

    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Failover::Off => "off",
            Failover::Next => "next",
        }
    }

    /// The policy with this word.
    pub fn parse(word: &[u8]) -> Option<Failover> {
        Failover::ALL.into_iter().find(|failover| failover.name().as_bytes() == word)
    }
}

/// Everything that decides how a client behaves. Two equal ones may share a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The servers in the order of the configuration, at least one and at most [`MAX_SERVERS`], with weights that
    /// [`check_weights`](Config::check_weights) allows.
    pub servers: Vec<ServerConfig>,
    /// How keys are spread.
    pub hash: Hash,
    /// Whether another server stands in for one that is down.
    pub failover: Failover,
    /// Deadline of an operation: queue, connect and exchange together.
    pub timeout: Duration,
    /// Deadline of a connect and its handshake.
    pub connect_timeout: Duration,
    /// Consecutive failures after which a server is down.
    pub max_fails: u32,
    /// The time between two probes of a server that is down, before backoff.
    pub retry: Duration,
    /// Pending replies of a connection before another is opened; the bound of a pipeline is
    /// [`PIPELINE_BOUND`](crate::PIPELINE_BOUND) times this.
    pub pipeline: usize,
    /// Operations that may wait per server.
    pub queue: usize,
    /// Whether equal gets that are under way share one exchange.
    pub coalesce: bool,
    /// The largest value in either direction, in bytes.
    pub max_value: usize,
    /// Put in front of every key.
    pub prefix: Bytes,
}

impl Config {
    /// Default of `memcache_timeout`.
    pub const TIMEOUT: Duration = Duration::from_secs(1);
    /// Default of `memcache_connect_timeout`.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(200);
    /// Default of `memcache_max_fails`.
    pub const MAX_FAILS: u32 = 3;
    /// Default of `memcache_retry`.
    pub const RETRY: Duration = Duration::from_secs(5);
    /// Default of `memcache_pipeline`.
    pub const PIPELINE: usize = 128;
    /// Default of `memcache_queue`.
    pub const QUEUE: usize = 1024;
    /// Default of `memcache_max_value`, in bytes.
    pub const MAX_VALUE: usize = 1024 * 1024;

    /// The defaults with these servers.
    pub fn new(servers: Vec<ServerConfig>) -> Self {
        Config {
            servers,
            hash: Hash::default(),
            failover: Failover::default(),
            timeout: Self::TIMEOUT,
            connect_timeout: Self::CONNECT_TIMEOUT,
            max_fails: Self::MAX_FAILS,
            retry: Self::RETRY,
            pipeline: Self::PIPELINE,
            queue: Self::QUEUE,
            coalesce: false,
            max_value: Self::MAX_VALUE,
            prefix: Bytes::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(list: &[&str]) -> Result<(PoolLimits, u32), String> {
        let mut params = ServerParams::default();
        for param in list {
            params.parse(param.as_bytes()).map_err(|e| e.to_string())?;
        }
        params.finish().map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_give_way_to_numbers_that_were_written() {
        let numbers = |list: &[&str]| {
            let (p, _) = params(list).unwrap();
            (p.min(), p.smax(), p.max(), p.ttl())
        };
        assert_eq!(numbers(&[]), (0, 2, 8, 60));
        assert_eq!(numbers(&["min=2", "smax=4", "max=5", "ttl=60"]), (2, 4, 5, 60));
        assert_eq!(numbers(&["max=1"]), (0, 1, 1, 60));
        assert_eq!(numbers(&["min=5"]), (5, 5, 8, 60));
        assert_eq!(numbers(&["min=20"]), (20, 20, 20, 60));
        assert_eq!(numbers(&["smax=12", "ttl=0"]), (0, 12, 12, 0));
        assert_eq!(params(&["weight=7"]).unwrap().1, 7);
    }

    /// Rows C14 to C17, C22, C23 and C33 of the bad-configuration matrix.
    #[test]
    fn c14_to_c17_c22_c23_c33_invalid_parameters() {
        let bad = [
            "foo=1",
            "max",
            "MAX=1",
            " max = 1",
            "max=",
            "max=x",
            "max=-1",
            "max=1.5",
            "max=0x10",
            "max=1k",
            "max=+1",
            "max=99999999999999999999",
            "max=0",
            "max=65536",
            "weight=0",
            "weight=65536",
            "ttl=5q",
            "ttl=",
            "ttl=-1s",
            "ttl=1s1",
            "ttl=99999999999d",
            "ttl=366d",
            "ttl=1s1m",
            "ttl=s",
            "ttl=5ms",
            "=",
            "=1",
            "",
        ];
        for param in bad {
            assert_eq!(params(&[param]).unwrap_err(), format!("invalid parameter \"{param}\""));
        }
    }

    #[test]
    fn c18_c19_c21_contradictions() {
        assert_eq!(params(&["min=5", "max=3"]).unwrap_err(), "\"min\" value 5 must not exceed \"max\" value 3");
        assert_eq!(params(&["min=5", "smax=3"]).unwrap_err(), "\"min\" value 5 must not exceed \"smax\" value 3");
        assert_eq!(params(&["smax=9", "max=3"]).unwrap_err(), "\"smax\" value 9 must not exceed \"max\" value 3");
        assert_eq!(params(&["max=1", "max=2"]).unwrap_err(), "duplicate parameter \"max=2\"");
    }

    #[test]
    fn time_is_nginx_time_in_seconds() {
        let good: [(&[u8], u32); 8] = [
            (b"0", 0),
            (b"60", 60),
            (b"60s", 60),
            (b"1m", 60),
            (b"1h30m", 5_400),
            (b"1d", 86_400),
            (b"1M", 2_592_000),
            (b"365d", MAX_IDLE),
        ];
        for (text, secs) in good {
            assert_eq!(parse_seconds(text), Some(secs), "{}", text.escape_ascii());
        }
        for text in [&b""[..], b"1m1h", b"1h1h", b"99999999999d", b"1", b"1 "].iter().filter(|t| t != &&&b"1"[..]) {
            assert_eq!(parse_seconds(text), None, "{}", text.escape_ascii());
        }
    }
}
