//! What every dialect can do. Nothing above [`protocol`](super) knows which one a server speaks.

use super::decoder::Decoder;
use super::expect::Expect;
use super::line::{Code, Head, Hit, Line, Malformed};
use super::outbound::Outbound;
use super::text::command::Commands;
use super::token::Token;
use super::version::Version;
use super::{meta, text};
use crate::operation::error::Error;
use crate::operation::key::{Key, KeyError};
use crate::operation::work::Work;

/// What a server speaks, as its [`Greeting`](super::greeting::Greeting) has found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The meta commands of memcached from [`OLDEST`](Version::OLDEST) on.
    #[default]
    Meta,
    /// The classic text protocol, with the commands that the server knows.
    Text(Commands),
}

impl Dialect {
    /// Whether a server can do that; `version` says which memcached it is, if that is known.
    #[inline(always)]
    pub fn supports(self, key: Option<&Key>, work: &Work, version: impl FnOnce() -> Option<Version>) -> bool {
        match self {
            Dialect::Meta => {
                !work.compares_on_delete() || version().is_none_or(|version| version >= Version::COMPARES_ON_DELETE)
            }
            Dialect::Text(commands) => commands.can(key, work),
        }
    }

    /// Why it cannot.
    #[cold]
    pub fn refusal(self, key: Option<&Key>, work: &Work) -> Error {
        match self {
            Dialect::Text(_) if key.is_some_and(Key::is_binary) => KeyError::NotText.into(),
            Dialect::Text(commands) => Error::Unsupported(commands.lacks(key, work).unwrap_or("that")),
            Dialect::Meta => Error::Unsupported("a version to compare on delete"),
        }
    }

    /// Appends the request; nothing where it cannot be sent.
    #[inline(always)]
    pub fn encode(self, out: &mut Outbound, key: Option<&Key>, work: &Work, token: Token) {
        match self {
            Dialect::Meta => meta::encode::request(out, key, work, token),
            Dialect::Text(_) => text::encode::request(out, key, work),
        }
    }

    /// The next line of the reply to such a request and the bytes it takes up; `None`: it has not all arrived. `key`: that
    /// of the request, if the reply may name it with bytes that no line has.
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
            (Dialect::Meta, None) => decoder.line(buffer),
            (Dialect::Text(_), _) => decoder.text_line(buffer, expect),
        }
    }

    /// Whether the line is the answer to this request, of which `key` finds the key.
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

    /// Whether one command counts, and makes the counter that is not there.
    pub fn makes_counters(self) -> bool {
        matches!(self, Dialect::Meta)
    }

    /// Whether replies carry the token of their request, but for errors.
    #[inline(always)]
    pub fn has_tokens(self) -> bool {
        matches!(self, Dialect::Meta)
    }

    /// Whether this line, which is the answer to its request, could not be one to another.
    #[inline(always)]
    pub fn proves_order(self, line: &Head<'_>) -> bool {
        self.has_tokens() || line.code == Code::Value
    }

    /// Whether a server that refuses a store with this `SERVER_ERROR` has read all of it, and is where the next request
    /// begins.
    pub fn has_taken_value(self, text: &[u8]) -> bool {
        match self {
            Dialect::Meta => true,
            Dialect::Text(_) => text::check::has_taken_value(text),
        }
    }

    /// Whether the reply to a request that nobody waits for any more has to be compared with its key.
    pub fn needs_key(self, expect: Expect) -> bool {
        !self.has_tokens() && expect.is_get()
    }

    /// The reply at the front of the buffer, if it is the usual one to a get of this key, as it is on the wire, and has
    /// arrived completely.
    #[inline(always)]
    pub fn hit(self, buffer: &[u8], key: &[u8], token: Token) -> Option<Hit> {
        match self {
            Dialect::Meta => meta::hit::read(buffer, key, token),
            Dialect::Text(_) => text::hit::read(buffer, key),
        }
    }

    /// What is behind a value.
    #[inline(always)]
    pub fn value_end(self) -> &'static [u8] {
        match self {
            Dialect::Meta => meta::VALUE_END,
            Dialect::Text(_) => text::VALUE_END,
        }
    }
}
