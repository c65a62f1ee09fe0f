//! The text protocol, as a thin layer over the model of meta.

use std::str::{from_utf8, FromStr};

use bytes::Buf;
use memcache_engine::Instant;

use super::Server;
use crate::checks::Ledger;
use crate::command::Command;
use crate::session::Session;

/// What is in a key that new connections try the server with.
const GREETING: &str = "ngx_http_memcache_greeting";

/// What a server understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// Meta, and nothing else that operations are sent in.
    Meta,
    /// Meta, and it closes the connection at what goes alone, like memcached's own proxy. Nothing else may be on it.
    MetaProxy,
    /// Text, and a version that says so.
    Text,
    /// Text, and it closes the connection of what else it is asked, like twemproxy.
    Proxy,
    /// The same, but with an error before that, like mcrouter.
    Router,
}

impl Speaks {
    pub fn is_meta(self) -> bool {
        matches!(self, Speaks::Meta | Speaks::MetaProxy)
    }

    /// What it sends before it closes the connection of this; `None`: it does not close it.
    pub fn closes(self, text: &[u8]) -> Option<&'static [u8]> {
        let (last, unknown): (&[u8], &[&[u8]]) = match self {
            Speaks::Meta | Speaks::Text => return None,
            Speaks::MetaProxy => (b"", &[b"flush_all", b"config "]),
            Speaks::Proxy => (b"", &[b"mn", b"stats", b"flush_all", b"gats ", b"config "]),
            Speaks::Router => (b"CLIENT_ERROR malformed request\r\n", &[b"mn", b"gats ", b"config "]),
        };
        unknown.iter().any(|word| text.starts_with(word)).then_some(last)
    }
}

/// Whether a value comes behind the line.
pub fn has_value(line: &[u8]) -> bool {
    let words: [&[u8]; 7] = [b"ms ", b"set ", b"add ", b"replace ", b"append ", b"prepend ", b"cas "];
    words.iter().any(|word| line.starts_with(word))
}

/// Whether it is a get of text.
pub fn is_get(text: &[u8]) -> bool {
    text.starts_with(b"get")
}

fn parse<T: FromStr>(word: &str) -> T {
    word.parse().ok().expect("a number")
}

impl Server {
    /// The answer to `version`.
    pub(super) fn version(&self, id: usize) -> Vec<u8> {
        match self.speaks {
            Speaks::Text => format!("VERSION 1.4.{id}\r\n").into_bytes(),
            Speaks::Meta | Speaks::MetaProxy | Speaks::Proxy => format!("VERSION 1.6.{}\r\n", 18 + id).into_bytes(),
            Speaks::Router => format!("VERSION 41.0.{id} mcrouter\r\n").into_bytes(),
        }
    }

    /// Carries out the request at the front of the input, and takes it from there; `None`: not all of it has come.
    pub(super) fn execute_text(
        &mut self,
        id: usize,
        line: &[u8],
        session: &mut Session,
        ledger: &mut Ledger,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let text = from_utf8(line.strip_suffix(b"\r\n").expect("CRLF")).expect("keys of text");
        let words: Vec<&str> = text.split(' ').collect();
        if self.speaks.is_meta() || text == "mn" {
            session.input.advance(line.len());
            return Some(b"ERROR\r\n".to_vec());
        }
        if words.len() == 1 {
            session.input.advance(line.len());
            return self.execute_alone(id, text.as_bytes(), ledger, now);
        }
        let key = if words[0] == "gats" { words[2] } else { words[1] };
        assert!((1..=250).contains(&key.len()) && key.bytes().all(|b| b > 0x20 && b != 0x7f), "a bad key");
        let is_greeting = key.contains(GREETING);
        let command = |flags| Command { word: "", key: key.as_bytes().to_vec(), flags };
        if !is_greeting {
            ledger.seen(key.as_bytes(), id);
        }
        if has_value(line) {
            assert!(!is_greeting, "nothing is stored to try a server");
            return self.store_text(&words, line, session, ledger, now);
        }
        session.input.advance(line.len());
        let touch = |ttl: &str| format!("T{ttl}");
        Some(match words[0] {
            "get" | "gets" | "gats" if is_greeting => b"END\r\n".to_vec(),
            "touch" if is_greeting => b"NOT_FOUND\r\n".to_vec(),
            "gets" => value(&self.get(&command(vec!["f", "c", "k", "v"]), session, ledger, now)),
            "gats" => {
                let ttl = touch(words[1]);
                self.check_life(&Command { word: "mg", ..command(vec![&ttl]) });
                value(&self.get(&command(vec!["f", "c", "k", "v", &ttl]), session, ledger, now))
            }
            "touch" => {
                let ttl = touch(words[2]);
                self.check_life(&Command { word: "mg", ..command(vec![&ttl]) });
                match self.get(&command(vec![&ttl]), session, ledger, now).starts_with(b"HD") {
                    true => b"TOUCHED\r\n".to_vec(),
                    false => b"NOT_FOUND\r\n".to_vec(),
                }
            }
            "delete" => word(&self.delete_or_mark(&command(vec![]), ledger, now), "DELETED"),
            "incr" | "decr" => {
                let delta = format!("D{}", words[2]);
                let mut flags = vec![&delta[..]];
                flags.extend((words[0] == "decr").then_some("MD"));
                let reply = self.count(&command(flags), ledger, now);
                match reply.strip_prefix(b"VA ") {
                    Some(rest) => rest[memchr::memchr(b'\n', rest).expect("a line") + 1..].to_vec(),
                    None => word(&reply, ""),
                }
            }
            word => panic!("an unknown command: {word}"),
        })
    }

    fn store_text(
        &mut self,
        words: &[&str],
        line: &[u8],
        session: &mut Session,
        ledger: &mut Ledger,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let (tag, cas) = (format!("F{}", words[2]), words.get(5).map(|cas| format!("C{cas}")));
        let mode = match words[0] {
            "add" => Some("ME"),
            "replace" => Some("MR"),
            "append" => Some("MA"),
            "prepend" => Some("MP"),
            _ => None,
        };
        let life = (words[3] != "0").then(|| format!("T{}", words[3]));
        let flags = [Some(&tag[..]), cas.as_deref(), mode, life.as_deref()].into_iter().flatten().collect();
        let command = Command { word: "ms", key: words[1].as_bytes().to_vec(), flags };
        self.check_life(&command);
        let value = match self.take_value(&command, parse(words[4]), line, session, ledger, now)? {
            Ok(value) => value,
            Err(refusal) => return Some(refusal),
        };
        Some(word(&self.store(&command, value, ledger, now), "STORED"))
    }
}

/// A reply of meta without an item, in text.
fn word(reply: &[u8], done: &str) -> Vec<u8> {
    let word = match &reply[..2] {
        b"HD" => done,
        b"NF" => "NOT_FOUND",
        b"NS" => "NOT_STORED",
        b"EX" => "EXISTS",
        _ => return reply.to_vec(),
    };
    format!("{word}\r\n").into_bytes()
}

/// The reply of meta to a get, in text.
fn value(reply: &[u8]) -> Vec<u8> {
    let Some(rest) = reply.strip_prefix(b"VA ") else { return b"END\r\n".to_vec() };
    let end = memchr::memchr(b'\n', rest).expect("a line");
    let line = from_utf8(&rest[..end - 1]).expect("keys of text");
    let mut words = line.split(' ');
    let (size, flags, cas, key) = (words.next(), words.next(), words.next(), words.next());
    let number = |word: Option<&str>| parse::<u64>(&word.expect("a flag")[1..]);
    let size: usize = parse(size.expect("a size"));
    let key = &key.expect("a key")[1..];
    let mut text = format!("VALUE {key} {} {size} {}\r\n", number(flags), number(cas)).into_bytes();
    text.extend_from_slice(&rest[end + 1..end + 1 + size]);
    text.extend(b"\r\nEND\r\n");
    text
}
