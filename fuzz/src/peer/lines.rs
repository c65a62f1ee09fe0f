//! The lines of replies, and what they mean to the client.

use memcache_engine::{Error, Metadata, Outcome};

use super::Says;
use crate::request::Request;

/// The value of an item says whose it is.
pub fn fill(key: &[u8], size: usize) -> Vec<u8> {
    let once = [key, b" "].concat();
    let mut value = once.repeat(size / once.len() + 1);
    value.truncate(size);
    value
}

/// An item with marks behind the line's flags.
pub fn with_value(head: &Request, value: &[u8], n: usize, marks: &str) -> Vec<u8> {
    let line = mark(echo(head, &format!("VA {}", value.len()), Some((value.len(), n))), marks);
    [&line[..], value, b"\r\n"].concat()
}

pub fn mark(line: Vec<u8>, marks: &str) -> Vec<u8> {
    [&line[..line.len() - 2], marks.as_bytes(), b"\r\n"].concat()
}

/// The request is refused. What is behind a store may be read as requests.
pub fn refused(head: &Request, said: &'static str) -> Says {
    let error = Err(Error::Client(said.into()));
    if head.word == b"ms" {
        Says::Last(head.key.clone(), error)
    } else {
        Says::Answer(head.key.clone(), error)
    }
}

/// A reply without a value.
pub fn line(head: &Request, code: &str, n: usize) -> (Vec<u8>, Says) {
    let says = match outcome(head, code, n) {
        None => Says::Anything,
        Some(None) => Says::Nonsense(head.key.clone()),
        Some(Some(outcome)) => Says::Answer(head.key.clone(), Ok(outcome)),
    };
    (echo(head, code, (code == "HD").then_some((SOME, n))), says)
}

/// The size of an item that is only spoken of.
pub const SOME: usize = 3;

/// What the code means as an answer to the request: `Some(None)`, nothing at all; `None`, that is not known here.
pub fn outcome(head: &Request, code: &str, n: usize) -> Option<Option<Outcome>> {
    if head.flags.iter().any(|flag| !b"vfcksutlhTNROFCMIDJb".contains(flag.first().unwrap_or(&0))) {
        return None;
    }
    let plain = head.flag(b'M').is_none();
    Some(match (&head.word[..], code) {
        (b"mg", "EN") if !head.leases() => Some(Outcome::Miss),
        (b"mg", "HD") if head.inspects() => Some(Outcome::Metadata(metadata(SOME, n))),
        (b"mg", "HD") if !head.reads() => Some(Outcome::Done),
        (b"ms" | b"md", "HD") => Some(Outcome::Done),
        (b"ms" | b"md", "EX") if plain => Some(Outcome::Exists),
        (b"ma", "EX") => Some(Outcome::Exists),
        (b"ms" | b"md", "NF") if plain => Some(Outcome::Miss),
        (b"ma", "NF") => Some(Outcome::Miss),
        (b"ms" | b"ma", "NS") => Some(Outcome::NotStored),
        (b"mg" | b"ms" | b"md" | b"ma" | b"mn" | b"version" | b"stats" | b"flush_all", _) => None,
        _ => return None,
    })
}

pub fn metadata(size: usize, n: usize) -> Metadata {
    let n = n as u32;
    let ttl = (n % 2 == 1).then_some(n);
    Metadata { size, flags: n, cas: u64::from(n) + 1, ttl, idle: n, fetched: n % 2 == 1, stale: false, leased: false }
}

/// The code with what the request's flags ask for, in their order. `item`: its size, and a number for all the rest.
pub fn echo(head: &Request, code: &str, item: Option<(usize, usize)>) -> Vec<u8> {
    let mut line = code.to_string().into_bytes();
    for flag in &head.flags {
        let value = match (flag[0], item) {
            (b'O', _) => flag.clone(),
            (b'k', _) => [b"k", &head.key[..]].concat(),
            (b'b', _) => b"b".to_vec(),
            (b's', Some((size, _))) => format!("s{size}").into_bytes(),
            (b't', Some((_, n))) if n % 2 == 0 => b"t-1".to_vec(),
            (b'h', Some((_, n))) => format!("h{}", n % 2).into_bytes(),
            (b'c', Some((_, n))) => format!("c{}", n + 1).into_bytes(),
            (b'f' | b't' | b'l', Some((_, n))) => [&flag[..], n.to_string().as_bytes()].concat(),
            _ => continue,
        };
        line.extend([b" ", &value[..]].concat());
    }
    line.extend(b"\r\n");
    line
}

pub fn has_token(line: &[u8]) -> bool {
    line.windows(2).any(|two| two == b" O")
}
