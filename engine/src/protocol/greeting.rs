//! What a new connection is asked before it is used, and what the answers say about the server: whether it can be used,
//! and in which dialect.
//!
//! `version` and `mn` travel together: nothing in them means another thing in another dialect. What says that it is
//! memcached from [`OLDEST`](Version::OLDEST) on, or no memcached, and answers both, is then tried: a get and a store as
//! they will be used ([`meta::encode::tries`]). A server that has passed that is not tried again, as long as it gives the
//! same version.
//!
//! What does not pass, but has answered `version`, speaks text, if it may (`memcache_protocol auto`). Some close the
//! connection of a command that they do not know, with all that is under way on it. So a close is an answer, as long as
//! there is something else to ask: it is asked on another connection, one command at a time ([`Greeting::closed`]). At the
//! end of these steps a close is what it is elsewhere, a failure.

use bytes::{Buf, Bytes, BytesMut};

use crate::config::Protocol;
use crate::limits::MAX_STATS;
use crate::operation::key::Key;
use crate::protocol::decoder::Decoder;
use crate::protocol::dialect::Dialect;
use crate::protocol::expect::Expect;
use crate::protocol::known::{Begin, Known};
use crate::protocol::line::{Code, Line, Malformed};
use crate::protocol::outbound::Outbound;
use crate::protocol::text::command::Command;
use crate::protocol::token::Token;
use crate::protocol::version::Version;
use crate::protocol::{meta, text};

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
    /// The connection is of no use, but it has found out how to begin the next one.
    Again,
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
    /// To the `get` of what does not know `version`.
    Any,
    /// To a command of text that is tried.
    Command(Command),
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Another answer, to what was asked already.
    Due(Due),
    Ask(Due),
    Pass(Dialect),
    /// It does not speak meta, and what is on its way is of no use.
    Again,
    /// Whether it knows `version` is asked once more.
    Doubt,
    Unfit,
}

/// The keys that a server is tried with. Nobody uses them.
#[derive(Debug)]
pub(crate) struct TriedKeys {
    meta: Key,
    text: Key,
}

impl TriedKeys {
    /// Another number each time.
    pub fn new(prefix: &[u8], random: u64) -> Self {
        TriedKeys { meta: Key::greeting(prefix, random), text: Key::text_greeting(prefix, random) }
    }
}

#[derive(Debug)]
pub(crate) struct Greeting {
    due: Due,
    keys: TriedKeys,
    /// How it began.
    begin: Begin,
    /// The text that the server has given as its version.
    text: Bytes,
    version: Option<Version>,
    known: Known,
    /// Bytes of the answer to the command that is tried.
    answered: usize,
}

impl Greeting {
    /// One for a server of which this is known.
    pub fn new(keys: TriedKeys, known: Known) -> Self {
        let begin = known.begin();
        let due = if begin == Begin::Get { Due::Any } else { Due::Version };
        Greeting { due, keys, begin, text: Bytes::new(), version: None, known, answered: 0 }
    }

    pub fn start(&self, out: &mut Outbound) {
        match self.begin {
            Begin::Meta => meta::encode::greeting(out),
            Begin::Version => text::encode::version(out),
            Begin::Get => text::encode::get(out, &self.keys.text),
        }
    }

    /// The version, if it is one of memcached's.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// What is known of the server by now.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Reads what has arrived, and asks what there is to ask.
    pub fn read(&mut self, decoder: &mut Decoder, input: &mut BytesMut, out: &mut Outbound) -> Result<Progress, Unfit> {
        // It knows the answer before it was asked.
        if out.len() > 0 && !input.is_empty() {
            return Err(self.unfit(input));
        }
        loop {
            let (next, used) = match self.line(decoder, input) {
                Ok(None) => return Ok(Progress::Waits),
                Ok(Some((line, used))) => (self.answered(&line)?, used),
                Err(_) if self.may_be_text() => (Next::Again, input.len()),
                Err(_) => (Next::Unfit, 0),
            };
            if next == Next::Unfit {
                return Err(self.unfit(input));
            }
            input.advance(used);
            if next == Next::Doubt {
                return Ok(Progress::Again);
            }
            if next == Next::Again {
                self.known.pass(Dialect::Text(self.known.commands()), Bytes::new());
                return Ok(Progress::Again);
            }
            if let Next::Ask(due) = next {
                self.due = due;
            }
            // More than was asked for.
            if !matches!(next, Next::Due(_)) && !input.is_empty() {
                return Err(self.unfit(input));
            }
            match next {
                Next::Due(due) => self.due = due,
                Next::Ask(_) => {
                    self.ask(out);
                    return Ok(Progress::Asks);
                }
                Next::Pass(dialect) => {
                    self.known.pass(dialect, self.text.clone());
                    return Ok(Progress::Done);
                }
                Next::Again | Next::Doubt | Next::Unfit => return Err(self.unfit(input)),
            }
        }
    }

    fn line<'b>(&self, decoder: &mut Decoder, input: &'b [u8]) -> Result<Option<(Line<'b>, usize)>, Malformed> {
        let expect = match self.due {
            Due::Version => Expect::Version,
            Due::Any | Due::Command(Command::Gets | Command::Gats) => Expect::Get,
            Due::Command(Command::Touch) => Expect::Touch,
            Due::Command(Command::Stats) => Expect::Stats,
            Due::Noop | Due::Get | Due::Store | Due::Behind => return decoder.line(input),
        };
        decoder.text_line(input, expect)
    }

    fn ask(&self, out: &mut Outbound) {
        match self.due {
            Due::Noop => meta::encode::noop(out),
            Due::Get => meta::encode::tries(out, &self.keys.meta),
            Due::Command(command) => text::encode::try_command(out, command, &self.keys.text),
            Due::Version | Due::Store | Due::Behind | Due::Any => {}
        }
    }

    /// What follows this answer, if it is one to what is due.
    fn answered(&mut self, line: &Line<'_>) -> Result<Next, Unfit> {
        let is = |token: Option<u64>, own: Token| token.is_none_or(|token| token == u64::from(own));
        let has_passed = self.known.has_passed(&self.text);
        Ok(match (self.due, line) {
            (Due::Version, Line::Version(text)) => return self.identified(text),
            (Due::Noop, Line::Noop) if self.is_old() => self.try_text(),
            (Due::Noop, Line::Noop) if has_passed && !self.text.is_empty() => Next::Pass(Dialect::Meta),
            (Due::Noop, Line::Noop) => Next::Ask(Due::Get),
            (Due::Noop, Line::ClientError(_) | Line::ServerError(_) | Line::Head(_)) if self.may_be_text() => {
                self.try_text()
            }
            (Due::Get, Line::Head(head)) if head.code == Code::Miss && is(head.token, meta::encode::TRIED_GET) => {
                Next::Due(Due::Store)
            }
            (Due::Store, Line::Head(head))
                if head.code == Code::Done && head.token == Some(meta::encode::TRIED_SET.into()) =>
            {
                Next::Due(Due::Behind)
            }
            // No memory for the item, or a proxy without a server for the key: memcached has read the command, and
            // the value, when it says so. Of what is no memcached that is not known.
            (Due::Get, Line::ServerError(_)) if self.version.is_some() => Next::Due(Due::Store),
            (Due::Store, Line::ServerError(_)) if self.version.is_some() => Next::Due(Due::Behind),
            (Due::Behind, Line::Noop) => Next::Pass(Dialect::Meta),
            (Due::Get | Due::Store | Due::Behind, _) if self.may_be_text() => Next::Again,
            (Due::Any, Line::Head(head))
                if head.code == Code::Miss && self.known.found().is_none() && self.known.doubts() =>
            {
                Next::Doubt
            }
            (Due::Any, Line::Head(head)) if head.code == Code::Miss => {
                self.known.without_version();
                self.try_text()
            }
            (Due::Command(command), line) => self.tried(command, line),
            _ => Next::Unfit,
        })
    }

    /// The server has said which version it is.
    fn identified(&mut self, text: &[u8]) -> Result<Next, Unfit> {
        self.version = Version::parse(text);
        if text.len() <= MAX_VERSION {
            self.text = Bytes::copy_from_slice(text);
        }
        let speaks_text = matches!(self.known.found(), Some(Dialect::Text(_)));
        let has_passed = self.known.has_passed(&self.text);
        Ok(match self.version {
            Some(version) if self.is_old() && self.known.wants(Protocol::Meta) => {
                return Err(Unfit::TooOld(version));
            }
            _ if self.begin == Begin::Meta => Next::Due(Due::Noop),
            // It may be another server by now.
            _ if speaks_text && self.known.is_complete() && !has_passed && self.known.wants(Protocol::Auto) => {
                self.known.start_over();
                if self.is_old() {
                    self.try_text()
                } else {
                    Next::Ask(Due::Noop)
                }
            }
            _ if speaks_text || self.is_old() || self.known.wants(Protocol::Text) => self.try_text(),
            _ => Next::Ask(Due::Noop),
        })
    }

    fn is_old(&self) -> bool {
        self.version.is_some_and(|version| version < Version::OLDEST)
    }

    /// Whether what is not meta may be text.
    fn may_be_text(&self) -> bool {
        self.known.wants(Protocol::Auto) && matches!(self.due, Due::Noop | Due::Get | Due::Store | Due::Behind)
    }

    /// Tries the next command of text that was not tried, if there is one.
    fn try_text(&mut self) -> Next {
        self.answered = 0;
        match self.known.commands().untried() {
            Some(command) => Next::Ask(Due::Command(command)),
            None => Next::Pass(Dialect::Text(self.known.commands())),
        }
    }

    /// Something has come of a command that is tried.
    fn tried(&mut self, command: Command, line: &Line<'_>) -> Next {
        let known = match line {
            Line::Stat(text) => {
                self.answered = self.answered.saturating_add(text.len());
                return if self.answered < MAX_STATS { Next::Due(self.due) } else { Next::Unfit };
            }
            Line::End => true,
            Line::Head(head) => match head.code {
                Code::Miss | Code::NotFound => true,
                _ => return Next::Unfit,
            },
            // It has understood it, and cannot do it now: a proxy without a server for the key.
            Line::ServerError(_) => command != Command::Stats,
            Line::ClientError(_) => false,
            _ => return Next::Unfit,
        };
        if command == Command::Gets && !known {
            // Without versions, what compares them would be done without a comparison.
            return Next::Unfit;
        }
        self.known.tried(command, known);
        self.try_text()
    }

    /// The server has closed the connection without another word: what is known of it by that, if that is an answer.
    pub fn closed(&self, input: &[u8]) -> Option<Known> {
        let mut known = self.known.clone();
        if !input.is_empty() || known.wants(Protocol::Meta) {
            return None;
        }
        match self.due {
            // Nothing of what it said before can be relied on.
            Due::Version | Due::Any if known.found().is_some() => None,
            Due::Version if self.begin == Begin::Version => Some(known.begins(Begin::Get)),
            Due::Any | Due::Command(Command::Gets) => None,
            // Once may be chance: it was restarted just then.
            Due::Version | Due::Noop | Due::Get | Due::Store | Due::Behind if self.begin == Begin::Meta => {
                Some(known.begins(Begin::Version))
            }
            Due::Version | Due::Noop | Due::Get | Due::Store | Due::Behind => {
                known.pass(Dialect::Text(known.commands()), self.text.clone());
                Some(known)
            }
            Due::Command(command) => {
                known.closed_at(command);
                known.pass(Dialect::Text(known.commands()), self.text.clone());
                Some(known)
            }
        }
    }

    /// What has arrived and is no whole line, where no more will come: some services have no lines, such as TLS.
    pub fn unfinished(&self, input: &[u8]) -> Option<Unfit> {
        let may_be_version = b"VERSION ".iter().zip(input).all(|(expected, byte)| expected == byte);
        (self.due == Due::Version && !input.is_empty() && !may_be_version).then(|| Unfit::foreign(input))
    }

    /// What the bytes say that came instead of the answer that is due.
    fn unfit(&self, input: &[u8]) -> Unfit {
        let tried = match self.due {
            Due::Version | Due::Any if input.starts_with(b"ERROR Too many open connections") => {
                return Unfit::TooManyConnections;
            }
            Due::Version | Due::Noop | Due::Any if input.starts_with(b"CLIENT_ERROR unauthenticated") => {
                return Unfit::Unauthenticated;
            }
            Due::Version | Due::Any => return Unfit::foreign(input),
            Due::Noop | Due::Behind => "mn",
            Due::Get => "mg",
            Due::Store => "ms",
            Due::Command(command) => command.name(),
        };
        Unfit::Dialect { tried, answer: quoted(input) }
    }
}
