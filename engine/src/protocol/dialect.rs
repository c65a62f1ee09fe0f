//! What every dialect can do. Nothing above [`protocol`](super) knows which one a server speaks.

use super::decoder::Decoder;
use super::expect::Expect;
use super::line::{Head, Hit, Line, Malformed};
use super::meta;
use super::outbound::Outbound;
use super::token::Token;
use super::version::Version;
use crate::operation::key::Key;
use crate::operation::work::Work;

/// What a server speaks, as its [`Greeting`](super::greeting::Greeting) has found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The meta commands of memcached from [`OLDEST`](Version::OLDEST) on.
    #[default]
    Meta,
}

impl Dialect {
    /// Whether a server can do that; `version` says which memcached it is, if that is known.
    #[inline]
    pub fn supports(self, work: &Work, version: impl FnOnce() -> Option<Version>) -> bool {
        match self {
            Dialect::Meta => {
                !work.compares_on_delete() || version().is_none_or(|version| version >= Version::COMPARES_ON_DELETE)
            }
        }
    }

    /// Appends the request; nothing where it has to have a key and has none.
    #[inline]
    pub fn encode(self, out: &mut Outbound, key: Option<&Key>, work: &Work, token: Token) {
        match self {
            Dialect::Meta => meta::encode::request(out, key, work, token),
        }
    }

    /// The next line and the bytes it takes up; `None`: it has not all arrived. `key`: that of the request, if the reply
    /// may name it with bytes that no line has.
    #[inline]
    pub fn line<'b>(
        self,
        decoder: &mut Decoder,
        buffer: &'b [u8],
        key: Option<&Key>,
    ) -> Result<Option<(Line<'b>, usize)>, Malformed> {
        match (self, key) {
            (Dialect::Meta, Some(key)) => decoder.line_naming(buffer, key.raw()),
            (Dialect::Meta, None) => decoder.line(buffer),
        }
    }

    /// Whether the line is the answer to this request, of which `key` finds the key.
    #[inline]
    pub fn check<'k>(
        self,
        expect: Expect,
        token: Token,
        line: &Head<'_>,
        key: impl FnOnce() -> Option<&'k Key>,
    ) -> Result<(), Malformed> {
        match self {
            Dialect::Meta => meta::check::check(expect, token, line, key),
        }
    }

    /// The reply at the front of the buffer, if it is the usual one to a get of this key, as it is on the wire, and has
    /// arrived completely.
    #[inline]
    pub fn hit(self, buffer: &[u8], key: &[u8], token: Token) -> Option<Hit> {
        match self {
            Dialect::Meta => meta::hit::read(buffer, key, token),
        }
    }
}
