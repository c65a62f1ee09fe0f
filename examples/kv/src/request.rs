//! Parses method, key, arguments and headers of a request into a command. It does not depend on nginx.

mod args;

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::tag::Tag;

use args::Args;

/// Keys that one request may ask for.
pub const MAX_KEYS: usize = 100;

/// memcached reads a larger number of seconds as a point in Unix time.
const THIRTY_DAYS: u32 = 30 * 24 * 60 * 60;

/// Actions of `POST`. Each of these changes something, even if it also reads, so `GET` and `HEAD` must not have it.
const ACTIONS: [&str; 9] = ["append", "prepend", "incr", "decr", "touch", "gat", "lease", "invalidate", "flush_all"];

/// The parts of a request that determine the command.
#[derive(Debug, Default)]
pub struct Parts<'a> {
    /// `GET`.
    pub method: &'a str,
    /// See [`key`].
    pub key: Vec<u8>,
    /// The part after the `?`.
    pub args: &'a [u8],
    /// The header `If-Match`.
    pub if_match: Option<&'a [u8]>,
    /// The header `If-None-Match`.
    pub if_none_match: Option<&'a [u8]>,
    /// A header that makes the request conditional or partial, and that no action supports.
    pub unknown: Option<&'static str>,
    /// The header `X-Memcache-Flags`.
    pub flags: Option<&'a [u8]>,
}

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// A command without a body.
    Plain(Plain),
    /// A command with the body of the request.
    WithBody(WithBody),
}

/// Commands without a value.
#[derive(Debug, PartialEq, Eq)]
pub enum Plain {
    /// `GET KEY`.
    Get { key: Vec<u8> },
    /// `POST KEY?gat=secs`.
    GetAndTouch { key: Vec<u8>, ttl: u32 },
    /// `POST KEY?lease=secs`, with `recache=secs`.
    Lease { key: Vec<u8>, vivify: u32, recache: u32 },
    /// `GET KEY?inspect`.
    Inspect { key: Vec<u8> },
    /// `GET ?keys=a,b`.
    GetMulti { keys: Vec<Vec<u8>> },
    /// `GET ?servers`.
    Servers,
    /// `GET ?noop=n`, `GET ?stats=n`, `POST ?flush_all=n`.
    OnServer { server: usize, action: Action },
    /// `POST KEY?incr=n`, `POST KEY?decr=n`.
    Count { key: Vec<u8>, direction: Direction, delta: u64, initial: Option<u64>, ttl: u32 },
    /// `POST KEY?touch=secs`.
    Touch { key: Vec<u8>, ttl: u32 },
    /// `POST KEY?invalidate`, with `ttl=secs`.
    Invalidate { key: Vec<u8>, which: Which, ttl: u32 },
    /// `DELETE KEY`.
    Delete { key: Vec<u8>, which: Which },
}

/// Commands whose value is the body.
#[derive(Debug, PartialEq, Eq)]
pub enum WithBody {
    /// `PUT KEY`.
    Store { key: Vec<u8>, condition: Condition, flags: u32, ttl: u32 },
    /// `POST KEY?append`, `POST KEY?prepend`.
    Extend { key: Vec<u8>, end: End },
}

/// The condition of a request that changes an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Any item; 404 without one.
    Any,
    /// `If-Match: *`: any item; 412 without one.
    Present,
    /// `If-Match: "tag", …`: only one of these.
    Tagged(Vec<Tag>),
}

/// When to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    None,
    /// `If-None-Match: *`: if there is no item.
    Absent,
    /// `If-Match: *`: if there is one.
    Present,
    /// `If-Match: "tag", …`: if it is one of these.
    Tagged(Vec<Tag>),
}

/// The direction of counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

/// An operation on a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Noop,
    Stats,
    /// After so many seconds.
    FlushAll(u32),
}

/// Which end to extend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Front,
    Back,
}

/// Why a request is refused without asking memcached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400, for this reason.
    BadRequest(String),
    /// 400: an argument that the action does not know, that is given twice, or that has a value and takes none. It is not
    /// ignored: with a misspelt `ttl`, an item would never expire.
    BadArgument(Vec<u8>),
    /// 400: a header has a condition that the action does not know. It is not ignored: the action would be done although
    /// the condition does not hold.
    UnknownCondition(&'static str),
    /// 405.
    MethodNotAllowed,
    /// 405: `GET` and `HEAD` change nothing, this is for `POST`.
    OnlyByPost,
    /// 412: its condition cannot hold.
    PreconditionFailed,
}

impl Refusal {
    fn bad(why: std::fmt::Arguments<'_>) -> Self {
        Refusal::BadRequest(why.to_string())
    }
}

impl Command {
    /// Parses a request.
    pub fn parse(parts: Parts<'_>) -> Result<Self, Refusal> {
        let args = Args(parts.args);
        if let Some(header) = parts.unknown {
            return Err(Refusal::UnknownCondition(header));
        }
        match parts.method {
            "GET" | "HEAD" if ACTIONS.iter().any(|action| args.value(action).is_some()) => Err(Refusal::OnlyByPost),
            "GET" | "HEAD" if parts.key.is_empty() => list(args).map(Command::Plain),
            "GET" | "HEAD" => get(parts.key, args).map(Command::Plain),
            "PUT" => put(parts, args).map(Command::WithBody),
            "POST" => post(parts, args),
            "DELETE" => {
                args.check(&[])?;
                Ok(Command::Plain(Plain::Delete { which: which(&parts)?, key: parts.key }))
            }
            _ => Err(Refusal::MethodNotAllowed),
        }
    }
}

fn get(key: Vec<u8>, args: Args<'_>) -> Result<Plain, Refusal> {
    args.check(&["inspect"])?;
    Ok(if args.flag("inspect")? { Plain::Inspect { key } } else { Plain::Get { key } })
}

/// `GET` without a key.
fn list(args: Args<'_>) -> Result<Plain, Refusal> {
    const LISTS: [&str; 4] = ["servers", "noop", "stats", "keys"];

    args.check(&LISTS)?;
    match args.only(&LISTS)? {
        Some("servers") => {
            args.flag("servers")?;
            return Ok(Plain::Servers);
        }
        Some("noop") => return Ok(Plain::OnServer { server: args.required("noop")?, action: Action::Noop }),
        Some("stats") => return Ok(Plain::OnServer { server: args.required("stats")?, action: Action::Stats }),
        _ => {}
    }
    let list = args.value("keys").filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Refusal::bad(format_args!("there is no key, and no list of keys")))?;
    let keys: Vec<_> = list.split(|&byte| byte == b',').map(decoded).collect();
    if keys.len() > MAX_KEYS {
        return Err(Refusal::bad(format_args!("{} keys were asked for, {MAX_KEYS} are the most", keys.len())));
    }
    Ok(Plain::GetMulti { keys })
}

fn put(parts: Parts<'_>, args: Args<'_>) -> Result<WithBody, Refusal> {
    args.check(&["ttl"])?;
    let condition = match (parts.if_match, parts.if_none_match) {
        (None, None) => Condition::None,
        (None, Some(b"*")) => Condition::Absent,
        (Some(b"*"), None) => Condition::Present,
        (Some(list), None) => Condition::Tagged(tags(list)?),
        (_, Some(_)) => return Err(Refusal::UnknownCondition("If-None-Match")),
    };
    let flags = parts.flags.map(|flags| args::number(flags, format_args!("X-Memcache-Flags"))).transpose()?;
    Ok(WithBody::Store {
        key: parts.key,
        condition,
        flags: flags.unwrap_or_default(),
        ttl: args.number("ttl")?.unwrap_or_default(),
    })
}

fn post(parts: Parts<'_>, args: Args<'_>) -> Result<Command, Refusal> {
    let Some(action) = args.only(&ACTIONS)? else {
        args.check(&[])?;
        return Err(Refusal::bad(format_args!("POST needs an action: {}", ACTIONS.join(", "))));
    };
    if matches!(action, "append" | "prepend" | "invalidate") {
        args.flag(action)?;
    }
    // The time to live is an argument of the requests that create an item.
    let beside: &[&str] = match action {
        "incr" | "decr" if args.value("initial").is_some() => &["initial", "ttl"],
        "lease" => &["recache"],
        "invalidate" => &["ttl"],
        "flush_all" => &["delay"],
        _ => &[],
    };
    args.check(&[&[action], beside].concat())?;
    // Only this action has a condition.
    let which = match action {
        "invalidate" => which(&parts)?,
        _ => unconditional(&parts)?,
    };
    let key = parts.key;
    Ok(match action {
        "append" => Command::WithBody(WithBody::Extend { key, end: End::Back }),
        "prepend" => Command::WithBody(WithBody::Extend { key, end: End::Front }),
        "flush_all" => Command::Plain(flush_all(&key, args)?),
        _ => Command::Plain(change(action, key, which, args)?),
    })
}

/// `POST` that changes an item, or reads it with a side effect.
fn change(action: &str, key: Vec<u8>, which: Which, args: Args<'_>) -> Result<Plain, Refusal> {
    let ttl = || -> Result<u32, Refusal> { Ok(args.number("ttl")?.unwrap_or_default()) };
    let count = |key, direction| -> Result<Plain, Refusal> {
        Ok(Plain::Count {
            key,
            direction,
            delta: args.required(action)?,
            initial: args.number("initial")?,
            ttl: ttl()?,
        })
    };
    Ok(match action {
        "incr" => count(key, Direction::Up)?,
        "decr" => count(key, Direction::Down)?,
        "touch" => Plain::Touch { key, ttl: args.required("touch")? },
        "gat" => Plain::GetAndTouch { key, ttl: args.required("gat")? },
        // The time that the caller has to make a missing item: memcached knows up to 30 days.
        "lease" => match args.required("lease")? {
            vivify @ 1..=THIRTY_DAYS => {
                Plain::Lease { key, vivify, recache: args.number("recache")?.unwrap_or_default() }
            }
            _ => return Err(Refusal::bad(format_args!("the argument lease has to be from 1 to {THIRTY_DAYS}"))),
        },
        "invalidate" => Plain::Invalidate { key, which, ttl: ttl()? },
        _ => return Err(Refusal::bad(format_args!("{action} is no action"))),
    })
}

/// `POST ?flush_all=n`: it has no key.
fn flush_all(key: &[u8], args: Args<'_>) -> Result<Plain, Refusal> {
    let delay = args.number("delay")?.unwrap_or_default();
    if !key.is_empty() {
        return Err(Refusal::bad(format_args!("flush_all is for a server, and not for a key")));
    }
    if delay > THIRTY_DAYS {
        return Err(Refusal::bad(format_args!("the argument delay has to be from 0 to {THIRTY_DAYS}")));
    }
    Ok(Plain::OnServer { server: args.required("flush_all")?, action: Action::FlushAll(delay) })
}

/// The key of a request: the decoded URI after the location's name.
///
/// `unparsed` is the original URI, in which nothing was merged or resolved; subrequests have none. If it does not start with
/// the location's name, `uri` is used, by which nginx has chosen the location.
pub fn key(unparsed: Option<&[u8]>, uri: &[u8], location: &[u8]) -> Vec<u8> {
    let path = unparsed.and_then(|unparsed| unparsed.split(|&byte| byte == b'?').next());
    match path.and_then(|path| path.strip_prefix(location)) {
        Some(key) => decoded(key),
        None => uri.strip_prefix(location).unwrap_or(uri).to_vec(),
    }
}

/// The condition of an action that supports `If-Match`.
fn which(parts: &Parts<'_>) -> Result<Which, Refusal> {
    match (parts.if_match, parts.if_none_match) {
        (_, Some(_)) => Err(Refusal::UnknownCondition("If-None-Match")),
        (None, None) => Ok(Which::Any),
        (Some(b"*"), None) => Ok(Which::Present),
        (Some(list), None) => Ok(Which::Tagged(tags(list)?)),
    }
}

/// The same for an action without conditions.
fn unconditional(parts: &Parts<'_>) -> Result<Which, Refusal> {
    match parts.if_match {
        Some(_) => Err(Refusal::UnknownCondition("If-Match")),
        None => which(parts),
    }
}

/// The tags of an `If-Match`. Without one of ours it matches nothing.
fn tags(list: &[u8]) -> Result<Vec<Tag>, Refusal> {
    match Tag::parse_list(list) {
        tags if tags.is_empty() => Err(Refusal::PreconditionFailed),
        tags => Ok(tags),
    }
}

fn decoded(text: &[u8]) -> Vec<u8> {
    Cow::from(percent_decode(text)).into_owned()
}

#[cfg(test)]
mod tests;
