//! What a new connection is asked before it is used, and what the answers say about the server.
//!
//! `version` and `mn` travel together: nothing in them means another thing in another dialect. memcached below
//! [`OLDEST`](Version::OLDEST) is recognized by its version, before anything else is sent. What says that it is a newer
//! memcached, or no memcached, is then tried: a get and a store as they will be used ([`encode::tries`]). A server that
//! has passed that is not tried again, as long as it gives the same version.

use bytes::{Buf, Bytes, BytesMut};

use crate::operation::key::Key;
use crate::protocol::decoder::Decoder;
use crate::protocol::dialect::Dialect;
use crate::protocol::line::{Code, Line};
use crate::protocol::meta::encode;
use crate::protocol::outbound::Outbound;
use crate::protocol::token::Token;
use crate::protocol::version::Version;

/// So many bytes of a wrong answer are quoted.
const QUOTED: usize = 32;
/// A version text that is longer is not remembered.
const MAX_VERSION: usize = 64;

/// Why a server cannot be used, by what it answered to the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is memcached, but older than [`Version::OLDEST`].
    TooOld(Version),
    /// It has as many connections as it may have.
    TooManyConnections,
    /// It wants a password first.
    Unauthenticated,
    /// It answers `version`, but not all that is used.
    Dialect {
        /// The command that was answered otherwise than memcached does.
        tried: &'static str,
        /// The first bytes of that answer.
        answer: Bytes,
    },
    /// It does not answer `version`: it is another service. These are its first bytes.
    Foreign(Bytes),
}

impl Unfit {
    /// Another service, which says this.
    pub(crate) fn foreign(input: &[u8]) -> Self {
        Unfit::Foreign(quoted(input))
    }
}

/// The beginning of a wrong answer.
fn quoted(input: &[u8]) -> Bytes {
    Bytes::copy_from_slice(input.get(..input.len().min(QUOTED)).unwrap_or_default())
}

/// How far a greeting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Answers have not all arrived.
    Waits,
    /// There is more to ask.
    Asks,
    /// The connection may be used.
    Done,
}

/// The answer that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Version,
    Noop,
    Get,
    Store,
    /// Behind the store's value.
    Behind,
}

#[derive(Debug)]
pub(crate) struct Greeting {
    due: Due,
    /// What is read and stored as a try.
    key: Key,
    /// The text that it has given as its version.
    text: Bytes,
    version: Option<Version>,
}

impl Greeting {
    pub fn new(key: Key) -> Self {
        Greeting { due: Due::Version, key, text: Bytes::new(), version: None }
    }

    pub fn start(&self, out: &mut Outbound) {
        encode::greeting(out);
    }

    /// What the server speaks, if it has passed.
    pub fn dialect(&self) -> Dialect {
        Dialect::Meta
    }

    /// The text of the version, if it is worth remembering, and the version if it is one of memcached's.
    pub fn version(&self) -> (&Bytes, Option<Version>) {
        (&self.text, self.version)
    }

    /// Reads what has arrived. A server that has passed with the version text `passed` is not tried again.
    pub fn read(
        &mut self,
        decoder: &mut Decoder,
        input: &mut BytesMut,
        out: &mut Outbound,
        passed: &[u8],
    ) -> Result<Progress, Unfit> {
        // It knows the answer before it was asked.
        if out.len() > 0 && !input.is_empty() {
            return Err(self.unfit(input));
        }
        loop {
            let used = match decoder.line(input) {
                Ok(None) => return Ok(Progress::Waits),
                Ok(Some((line, used))) if self.accepts(&line)? => used,
                Ok(Some(_)) | Err(_) => return Err(self.unfit(input)),
            };
            input.advance(used);
            let asks = self.due == Due::Noop && (self.text.is_empty() || self.text != passed);
            self.due = match self.due {
                Due::Version => Due::Noop,
                Due::Noop if asks => Due::Get,
                Due::Get => Due::Store,
                Due::Store => Due::Behind,
                // More than was asked for.
                Due::Noop | Due::Behind if !input.is_empty() => return Err(self.unfit(input)),
                Due::Noop | Due::Behind => return Ok(Progress::Done),
            };
            if asks {
                if !input.is_empty() {
                    return Err(self.unfit(input));
                }
                encode::tries(out, &self.key);
                return Ok(Progress::Asks);
            }
        }
    }

    /// Whether it is the answer that is due.
    fn accepts(&mut self, line: &Line<'_>) -> Result<bool, Unfit> {
        let is = |token: Option<u64>, own: Token| token.is_none_or(|token| token == u64::from(own));
        Ok(match (self.due, line) {
            (Due::Version, Line::Version(text)) => {
                self.version = Version::parse(text);
                match self.version {
                    Some(version) if version < Version::OLDEST => return Err(Unfit::TooOld(version)),
                    _ => {}
                }
                if text.len() <= MAX_VERSION {
                    self.text = Bytes::copy_from_slice(text);
                }
                true
            }
            (Due::Noop | Due::Behind, Line::Noop) => true,
            (Due::Get, Line::Head(head)) => head.code == Code::Miss && is(head.token, encode::TRIED_GET),
            (Due::Store, Line::Head(head)) => head.code == Code::Done && head.token == Some(encode::TRIED_SET.into()),
            // No memory for the item, or a proxy without a server for the key: memcached has read the command, and
            // the value, when it says so. Of what is no memcached that is not known.
            (Due::Get | Due::Store, Line::ServerError(_)) => self.version.is_some(),
            _ => false,
        })
    }

    /// What has arrived and is no whole line, where no more will come: some services have no lines, such as TLS.
    pub fn unfinished(&self, input: &[u8]) -> Option<Unfit> {
        let may_be_version = b"VERSION ".iter().zip(input).all(|(expected, byte)| expected == byte);
        (self.due == Due::Version && !input.is_empty() && !may_be_version).then(|| Unfit::foreign(input))
    }

    /// What the bytes say that came instead of the answer that is due.
    fn unfit(&self, input: &[u8]) -> Unfit {
        let tried = match self.due {
            Due::Version if input.starts_with(b"ERROR Too many open connections") => {
                return Unfit::TooManyConnections;
            }
            Due::Version | Due::Noop if input.starts_with(b"CLIENT_ERROR unauthenticated") => {
                return Unfit::Unauthenticated;
            }
            Due::Version => return Unfit::foreign(input),
            Due::Noop | Due::Behind => "mn",
            Due::Get => "mg",
            Due::Store => "ms",
        };
        Unfit::Dialect { tried, answer: quoted(input) }
    }
}
