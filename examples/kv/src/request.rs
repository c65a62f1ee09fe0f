//! What a request means: from its method, key, arguments and headers to a command. No nginx in here.

use std::str;

use percent_encoding::percent_decode;

/// Keys that one request may ask for.
pub const MAX_KEYS: usize = 100;

/// The parts of a request that say what to do.
#[derive(Debug, Default)]
pub struct Parts<'a> {
    /// `GET`.
    pub method: &'a str,
    /// See [`key`].
    pub key: Vec<u8>,
    /// What is behind the `?`.
    pub args: &'a [u8],
    /// The header `If-Match`.
    pub if_match: Option<&'a [u8]>,
    /// The header `If-None-Match`.
    pub if_none_match: Option<&'a [u8]>,
    /// The header `X-Memcache-Flags`.
    pub flags: Option<&'a [u8]>,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Something that does not need the body of the request.
    Plain(Plain),
    /// Something with the body of the request.
    WithBody(WithBody),
}

/// Commands without a value.
#[derive(Debug, PartialEq, Eq)]
pub enum Plain {
    /// `GET KEY`, and with `touch` `GET KEY?touch=secs`.
    Get { key: Vec<u8>, touch: Option<u32> },
    /// `GET ?keys=a,b`.
    GetMulti { keys: Vec<Vec<u8>> },
    /// `GET ?servers`.
    Servers,
    /// `POST KEY?incr=n`, `POST KEY?decr=n`.
    Count { key: Vec<u8>, direction: Direction, delta: u64, initial: Option<u64>, ttl: u32 },
    /// `POST KEY?touch=secs`.
    Touch { key: Vec<u8>, ttl: u32 },
    /// `DELETE KEY`, with `If-Match` only that version.
    Delete { key: Vec<u8>, version: Option<u64> },
}

/// Commands whose value is the body.
#[derive(Debug, PartialEq, Eq)]
pub enum WithBody {
    /// `PUT KEY`.
    Store { key: Vec<u8>, condition: Condition, flags: u32, ttl: u32 },
    /// `POST KEY?append`, `POST KEY?prepend`.
    Extend { key: Vec<u8>, end: End },
}

/// When to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    None,
    /// `If-None-Match: *`: if there is no item.
    Absent,
    /// `If-Match: *`: if there is one.
    Present,
    /// `If-Match: "cas"`: if it is this version.
    Version(u64),
}

/// Where to count to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

/// Which end to extend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Front,
    Back,
}

/// Why a request is refused without asking memcached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400.
    BadRequest,
    /// 405.
    MethodNotAllowed,
    /// 412: its condition cannot hold.
    PreconditionFailed,
}

impl Command {
    /// What the request means.
    pub fn parse(parts: Parts<'_>) -> Result<Self, Refusal> {
        let args = Args(parts.args);
        match parts.method {
            "GET" | "HEAD" if parts.key.is_empty() => list(args).map(Command::Plain),
            "GET" | "HEAD" => Ok(Command::Plain(Plain::Get { key: parts.key, touch: args.number("touch")? })),
            "PUT" => put(parts, args).map(Command::WithBody),
            "POST" => post(parts.key, args),
            "DELETE" => {
                let version = parts.if_match.filter(|&tag| tag != b"*").map(version).transpose()?;
                Ok(Command::Plain(Plain::Delete { key: parts.key, version }))
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }
}

/// `GET` without a key.
fn list(args: Args<'_>) -> Result<Plain, Refusal> {
    if args.value("servers").is_some() {
        return Ok(Plain::Servers);
    }
    let list = args.value("keys").filter(|list| !list.is_empty()).ok_or(Refusal::BadRequest)?;
    let keys: Vec<_> = list.split(|&byte| byte == b',').map(decoded).collect();
    if keys.len() > MAX_KEYS {
        return Err(Refusal::BadRequest);
    }
    Ok(Plain::GetMulti { keys })
}

fn put(parts: Parts<'_>, args: Args<'_>) -> Result<WithBody, Refusal> {
    let condition = match (parts.if_match, parts.if_none_match) {
        (None, None) => Condition::None,
        (None, Some(b"*")) => Condition::Absent,
        (Some(b"*"), None) => Condition::Present,
        (Some(tag), None) => Condition::Version(version(tag)?),
        _ => return Err(Refusal::BadRequest),
    };
    let flags = parts.flags.map(number).transpose()?.unwrap_or_default();
    Ok(WithBody::Store { key: parts.key, condition, flags, ttl: args.number("ttl")?.unwrap_or_default() })
}

fn post(key: Vec<u8>, args: Args<'_>) -> Result<Command, Refusal> {
    const ACTIONS: [&str; 5] = ["append", "prepend", "incr", "decr", "touch"];

    let mut asked = ACTIONS.into_iter().filter(|action| args.value(action).is_some());
    let (Some(action), None) = (asked.next(), asked.next()) else { return Err(Refusal::BadRequest) };

    let count = |direction, delta| -> Result<Plain, Refusal> {
        let (initial, ttl) = (args.number("initial")?, args.number("ttl")?.unwrap_or_default());
        Ok(Plain::Count { key: key.clone(), direction, delta, initial, ttl })
    };
    Ok(match (action, args.number("incr"), args.number("decr"), args.number("touch")) {
        ("append", ..) => Command::WithBody(WithBody::Extend { key, end: End::Back }),
        ("prepend", ..) => Command::WithBody(WithBody::Extend { key, end: End::Front }),
        (_, Ok(Some(delta)), ..) => Command::Plain(count(Direction::Up, delta)?),
        (_, _, Ok(Some(delta)), _) => Command::Plain(count(Direction::Down, delta)?),
        (_, _, _, Ok(Some(ttl))) => Command::Plain(Plain::Touch { key, ttl }),
        _ => return Err(Refusal::BadRequest),
    })
}

/// The key of a request: what follows the location's name in the URI, decoded.
///
/// `unparsed` is the URI as it came, in which nothing was merged or resolved; it is not there for a subrequest. If it
/// does not start with the location's name, the URI that nginx chose the location by is used.
pub fn key(unparsed: Option<&[u8]>, uri: &[u8], location: &[u8]) -> Vec<u8> {
    let path = unparsed.and_then(|unparsed| unparsed.split(|&byte| byte == b'?').next());
    match path.and_then(|path| path.strip_prefix(location)) {
        Some(key) => decoded(key),
        None => uri.strip_prefix(location).unwrap_or(uri).to_vec(),
    }
}

/// The version in an entity tag. Other people's tags, and weak ones, match nothing.
fn version(tag: &[u8]) -> Result<u64, Refusal> {
    let text = tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\""));
    text.and_then(|text| number(text).ok()).ok_or(Refusal::PreconditionFailed)
}

/// Decimal digits.
fn number<T: str::FromStr>(text: &[u8]) -> Result<T, Refusal> {
    let digits = str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or(Refusal::BadRequest)
}

fn decoded(text: &[u8]) -> Vec<u8> {
    percent_decode(text).collect()
}

/// `name=value&name`.
#[derive(Clone, Copy)]
struct Args<'a>(&'a [u8]);

impl<'a> Args<'a> {
    /// The value of an argument, empty if it has none.
    fn value(self, name: &str) -> Option<&'a [u8]> {
        self.0.split(|&byte| byte == b'&').find_map(|arg| match arg.strip_prefix(name.as_bytes())? {
            [] => Some(&[][..]),
            [b'=', value @ ..] => Some(value),
            _ => None,
        })
    }

    /// The number in an argument.
    fn number<T: str::FromStr>(self, name: &str) -> Result<Option<T>, Refusal> {
        self.value(name).map(number).transpose()
    }
}

#[cfg(test)]
mod tests;
