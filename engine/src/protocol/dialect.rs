//! The operations that every dialect supports. Nothing above [`protocol`](super) knows a server's dialect.

use bytes::Bytes;

use super::decoder::Decoder;
use super::expect::Expect;
use super::line::{Code, Head, Hit, Line, Malformed};
use super::outbound::Outbound;
use super::text::command::{Command, Commands};
use super::token::Token;
use super::version::Version;
use super::{meta, text};
use crate::operation::error::Error;
use crate::operation::key::{Key, KeyError};
use crate::operation::work::Work;

/// A server's dialect, found out by its [`Greeting`](super::greeting::Greeting).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The meta commands of memcached from [`OLDEST`](Version::OLDEST) on.
    #[default]
    Meta,
    /// The classic text protocol, with the commands that the server knows.
    Text(Commands),
}

impl Dialect {
    /// Whether a server supports the operation. `version` returns its version, if it is a known memcached.
    #[inline(always)]
    pub fn supports(self, key: Option<&Key>, work: &Work, version: impl FnOnce() -> Option<Version>) -> bool {
        match self {
            Dialect::Meta => {
                !work.compares_on_delete() || version().is_none_or(|version| version >= Version::COMPARES_ON_DELETE)
            }
            Dialect::Text(commands) => commands.can(key, work),
        }
    }

    /// Why the server with this name does not support the operation.
    #[cold]
    pub fn refusal(self, server: &[u8], key: Option<&Key>, work: &Work) -> Error {
        let (speaks, lacks) = match self {
            Dialect::Text(_) if key.is_some_and(Key::is_binary) => {
                return KeyError::NotText(Bytes::copy_from_slice(server)).into();
            }
            Dialect::Text(commands) => ("speaks text", commands.lacks(key, work).unwrap_or("it does not know that")),
            Dialect::Meta => ("is memcached before 1.6.13", "it does not compare versions on delete"),
        };
        Error::Unsupported(format!("server {} {speaks}: {lacks}", server.escape_ascii()).into())
    }

    /// The commands that the server was asked and does not know.
    pub fn unknown(self) -> Vec<&'static str> {
        let Dialect::Text(commands) = self else { return Vec::new() };
        Command::ALL.into_iter().filter(|command| !commands.knows(*command)).map(Command::name).collect()
    }

    /// Appends the request; nothing if it cannot be sent.
    #[inline(always)]
    pub fn encode(self, out: &mut Outbound, key: Option<&Key>, work: &Work, token: Token) {
        match self {
            Dialect::Meta => meta::encode::request(out, key, work, token),
            Dialect::Text(_) => text::encode::request(out, key, work),
        }
    }

    /// The next line of the reply to such a request, and its length; `None`: it is not complete. `key`: the request's
    /// key, if the reply may name it with raw bytes that no line may contain.
    #[inline(always)]
    pub fn line<'b>(
        self,
        decoder: &mut Decoder,
        buffer: &'b [u8],
        expect: Expect,
        key: Option<&Key>,
    ) -> Result<Option<(Line<'b>, usize)>, Malformed> {
        match (self, key) {
            (Dialect::Meta, Some(key)) => decoder.line_naming(buffer, key.raw()),
            (Dialect::Meta, None) if expect.is_text() => decoder.text_line(buffer, expect),
            (Dialect::Meta, None) => decoder.line(buffer),
            (Dialect::Text(_), _) => decoder.text_line(buffer, expect),
        }
    }

    /// Whether the line is the answer to this request. `key` returns the request's key.
    #[inline(always)]
    pub fn check<'k>(
        self,
        expect: Expect,
        token: Token,
        line: &Head<'_>,
        key: impl FnOnce() -> Option<&'k Key>,
    ) -> Result<(), Malformed> {
        match self {
            Dialect::Meta => meta::check::check(expect, token, line, key),
            Dialect::Text(_) => text::check::check(line, key),
        }
    }

    /// Whether one command counts and creates a missing counter.
    pub fn makes_counters(self) -> bool {
        matches!(self, Dialect::Meta)
    }

    /// Whether replies, except errors, carry their request's token.
    #[inline(always)]
    pub fn has_tokens(self) -> bool {
        matches!(self, Dialect::Meta)
    }

    /// Whether this line, which answers its request, cannot be the answer to another one.
    #[inline(always)]
    pub fn proves_order(self, line: &Head<'_>) -> bool {
        self.has_tokens() || line.code == Code::Value
    }

    /// Whether a server that refuses a store with this `SERVER_ERROR` has read all of the store, so that the next
    /// request is read in sync.
    pub fn has_taken_value(self, text: &[u8]) -> bool {
        match self {
            Dialect::Meta => true,
            Dialect::Text(_) => text::check::has_taken_value(text),
        }
    }

    /// Whether the reply to a request that was given up has to be compared with its key.
    pub fn needs_key(self, expect: Expect) -> bool {
        !self.has_tokens() && expect.is_get()
    }

    /// The reply at the front of the buffer, if it is complete and the usual one to a get of this key. `key` is in its
    /// wire form.
    #[inline(always)]
    pub fn hit(self, buffer: &[u8], key: &[u8], token: Token) -> Option<Hit> {
        match self {
            Dialect::Meta => meta::hit::read(buffer, key, token),
            Dialect::Text(_) => text::hit::read(buffer, key),
        }
    }

    /// The bytes that end the value in the reply to such a request.
    #[inline(always)]
    pub fn value_end(self, expect: Expect) -> &'static [u8] {
        match self {
            Dialect::Meta if !expect.is_text() => meta::VALUE_END,
            Dialect::Meta | Dialect::Text(_) => text::VALUE_END,
        }
    }
}
