//! The parameters of a `memcache_server` line.

use thiserror::Error;

use crate::limits::{MAX_CONNECTIONS, MAX_IDLE, MAX_WEIGHT};

/// An error of a `memcache_server` line; `nginx -t` prints the text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ParamError {
    /// Neither a known word nor `name=value` with a known name and a value in range.
    #[error("invalid parameter \"{}\", {valid}", .param.escape_ascii())]
    Invalid {
        /// As it was written.
        param: Vec<u8>,
        /// What is valid.
        valid: String,
    },
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
    expand: bool,
    resolve: bool,
    discover: bool,
    backup: bool,
}

impl ServerParams {
    /// Default of `smax`.
    pub const SMAX: u32 = 2;
    /// Default of `max`.
    pub const MAX: u32 = 8;
    /// Default of `ttl`, in seconds.
    pub const TTL: u32 = 60;

    /// Reads one `name=value`, or a word.
    pub fn parse(&mut self, param: &[u8]) -> Result<(), ParamError> {
        let invalid = |valid| ParamError::Invalid { param: param.to_vec(), valid };
        let unknown = || {
            invalid(
                "there are \"min=\", \"smax=\", \"max=\", \"ttl=\", \"weight=\", \"expand\", \"resolve\", \"discover\" and \"backup\"".into(),
            )
        };
        let word = match param {
            b"expand" => Some(&mut self.expand),
            b"resolve" => Some(&mut self.resolve),
            b"discover" => Some(&mut self.discover),
            b"backup" => Some(&mut self.backup),
            _ => None,
        };
        if let Some(word) = word {
            return match std::mem::replace(word, true) {
                false => Ok(()),
                true => Err(ParamError::Duplicate(param.to_vec())),
            };
        }
        let equals = memchr::memchr(b'=', param).ok_or_else(unknown)?;
        let (name, value) = param.split_at_checked(equals).ok_or_else(unknown)?;
        let value = value.strip_prefix(b"=").ok_or_else(unknown)?;
        let number = |least, most| {
            let number = parse_number(value, least, most);
            number.ok_or_else(|| invalid(format!("it must be a number from {least} to {most}")))
        };
        let (slot, parsed) = match name {
            b"min" => (&mut self.min, number(0, MAX_CONNECTIONS)),
            b"smax" => (&mut self.smax, number(0, MAX_CONNECTIONS)),
            b"max" => (&mut self.max, number(1, MAX_CONNECTIONS)),
            b"weight" => (&mut self.weight, number(1, MAX_WEIGHT)),
            b"ttl" => {
                let days = MAX_IDLE / 86_400;
                let seconds = parse_seconds(value).filter(|&secs| secs <= MAX_IDLE);
                (
                    &mut self.ttl,
                    seconds.ok_or_else(|| invalid(format!("it must be a time in whole seconds up to {days}d, or 0"))),
                )
            }
            _ => return Err(unknown()),
        };
        let parsed = parsed?;
        match slot.replace(parsed) {
            None => Ok(()),
            Some(_) => Err(ParamError::Duplicate(param.to_vec())),
        }
    }

    /// Whether each address of the name is a server.
    pub fn expand(&self) -> bool {
        self.expand
    }

    /// Whether the name is followed.
    pub fn resolve(&self) -> bool {
        self.resolve
    }

    /// Whether it is a configuration endpoint, which is asked for the servers.
    pub fn discover(&self) -> bool {
        self.discover
    }

    /// Whether the server is a backup.
    pub fn is_backup(&self) -> bool {
        self.backup
    }

    /// The pool's numbers and the weight. Defaults adapt to the given numbers: `max=1` alone means `smax=1`.
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
    fn c24_c25_defaults_give_way_to_numbers_that_were_written() {
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
            "expand=on",
            "Expand",
            "resolve=on",
            "Resolve",
            "backup=1",
            "Backup",
        ];
        for param in bad {
            let text = params(&[param]).unwrap_err();
            assert!(text.starts_with(&format!("invalid parameter \"{param}\", ")), "{text}");
        }
    }

    #[test]
    fn r54_what_is_valid_is_said() {
        let of = [
            ("max=0", "it must be a number from 1 to 65535"),
            ("min=-1", "it must be a number from 0 to 65535"),
            ("ttl=366d", "it must be a time in whole seconds up to 365d, or 0"),
            ("mx=5", "there are \"min=\", \"smax=\", \"max=\", \"ttl=\", \"weight=\", \"expand\", \"resolve\", \"discover\" and \"backup\""),
        ];
        of.iter().for_each(|(param, text)| {
            assert_eq!(params(&[param]).unwrap_err(), format!("invalid parameter \"{param}\", {text}"));
        });
    }

    #[test]
    fn c18_c19_c21_contradictions() {
        assert_eq!(params(&["min=5", "max=3"]).unwrap_err(), "\"min\" value 5 must not exceed \"max\" value 3");
        assert_eq!(params(&["min=5", "smax=3"]).unwrap_err(), "\"min\" value 5 must not exceed \"smax\" value 3");
        assert_eq!(params(&["smax=9", "max=3"]).unwrap_err(), "\"smax\" value 9 must not exceed \"max\" value 3");
        assert_eq!(params(&["max=1", "max=2"]).unwrap_err(), "duplicate parameter \"max=2\"");
        assert_eq!(params(&["expand", "expand"]).unwrap_err(), "duplicate parameter \"expand\"");
        assert_eq!(params(&["resolve", "resolve"]).unwrap_err(), "duplicate parameter \"resolve\"");
        assert_eq!(params(&["backup", "backup"]).unwrap_err(), "duplicate parameter \"backup\"");
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
