//! The greeting of a new connection. It finds out whether the server can be used, and its dialect.
//!
//! `version` and `mn` are sent together: they mean the same in all dialects. A memcached from
//! [`OLDEST`](Version::OLDEST) on, or another server that answers both, is then tried with a get and a store, in the
//! form of later requests ([`meta::encode::tries`]). A server that has passed is not tried again while its version
//! stays the same.
//!
//! With [`Credentials`], `version` is asked alone. Only a server that answers it with `CLIENT_ERROR unauthenticated` gets
//! them, and nothing else until it has accepted them: before that, memcached gives one answer to several commands. Then
//! the greeting begins. A server that answers `version` does not get them: memcached without `-Y` would store them as an
//! item that everybody can read. A proxy that passes `version` on (twemproxy) cannot be told from memcached: it gets them.
//!
//! A server that fails, but has answered `version`, speaks text. The configuration has to allow that
//! (`memcache_protocol auto`). Some servers close the connection at an unknown command, with all requests on it. So a
//! close counts as an answer while another question is left. That is asked on another connection, one command at a time
//! ([`Greeting::closed`]). Some answer with an error first, and close then. After the last question, a close is a failure.

use bytes::{Buf, Bytes, BytesMut};

use crate::config::{Credentials, Protocol};
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
use crate::protocol::unfit::{quoted, Unfit, TOO_MANY_CONNECTIONS};
use crate::protocol::version::Version;
use crate::protocol::{meta, text};

/// A longer version text is not remembered.
const MAX_VERSION: usize = 64;
/// What is behind `CLIENT_ERROR`, from a memcached that requires authentication.
const UNAUTHENTICATED: &[u8] = b"unauthenticated";

/// The progress of a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Answers are incomplete.
    Waits,
    /// There is more to ask.
    Asks,
    /// The connection can be used.
    Done,
    /// The connection cannot be used, but the next one can begin in a better way.
    Again,
}

/// The next answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Version,
    /// To user and password.
    Authentication,
    Noop,
    Get,
    Store,
    /// To the `mn` behind the store's value.
    Behind,
    /// To the `get`, from a server that does not know `version`.
    Any,
    /// To a command of text that is tried.
    Command(Command),
}

/// The step after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Another answer, to a question that was sent already.
    Due(Due),
    Ask(Due),
    Pass(Dialect),
    /// The server does not speak meta, and the pending answers are useless.
    Again,
    /// `version` is asked once more.
    Doubt,
    Unfit,
}

/// The keys of trials, which no other client uses.
#[derive(Debug)]
pub(crate) struct TriedKeys {
    meta: Key,
    text: Key,
}

impl TriedKeys {
    /// `random` is a new number each time.
    pub fn new(prefix: &[u8], random: u64) -> Self {
        TriedKeys { meta: Key::greeting(prefix, random), text: Key::text_greeting(prefix, random) }
    }
}

#[derive(Debug)]
pub(crate) struct Greeting {
    due: Due,
    keys: TriedKeys,
    /// User and password, until they are sent.
    credentials: Option<Credentials>,
    /// Whether they were sent: an answer may have the password in it, and is not quoted.
    secretive: bool,
    begin: Begin,
    /// The server's version text.
    text: Bytes,
    version: Option<Version>,
    known: Known,
    /// Bytes of the answer to the command that is tried.
    answered: usize,
}

impl Greeting {
    /// The greeting for a server with this knowledge, which gets the credentials if it asks for them.
    pub fn new(keys: TriedKeys, credentials: Option<Credentials>, known: Known) -> Self {
        let begin = known.begin();
        let due = if begin == Begin::Get { Due::Any } else { Due::Version };
        Greeting {
            due,
            keys,
            credentials,
            secretive: false,
            begin,
            text: Bytes::new(),
            version: None,
            known,
            answered: 0,
        }
    }

    pub fn start(&self, out: &mut Outbound) {
        match self.begin {
            Begin::Meta if self.credentials.is_none() => meta::encode::greeting(out),
            Begin::Meta | Begin::Version => text::encode::version(out),
            Begin::Get => text::encode::get(out, &self.keys.text),
        }
    }

    /// The version, if the server is memcached.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// What is known of the server by now.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Reads the answers so far, and appends the next questions.
    pub fn read(&mut self, decoder: &mut Decoder, input: &mut BytesMut, out: &mut Outbound) -> Result<Progress, Unfit> {
        // An answer came before its question was sent.
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
            // There are more bytes than answers.
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
            Due::Authentication => Expect::Set,
            Due::Any | Due::Command(Command::Gets | Command::Gats) => Expect::Get,
            Due::Command(Command::Touch) => Expect::Touch,
            Due::Command(Command::Stats) => Expect::Stats,
            Due::Noop | Due::Get | Due::Store | Due::Behind => return decoder.line(input),
        };
        decoder.text_line(input, expect)
    }

    fn ask(&mut self, out: &mut Outbound) {
        match self.due {
            Due::Version | Due::Any => self.start(out),
            Due::Authentication => {
                // Given away, so that they are sent once.
                if let Some(credentials) = self.credentials.take() {
                    self.secretive = true;
                    text::encode::authenticate(out, &self.keys.text, &credentials);
                }
            }
            Due::Noop => meta::encode::noop(out),
            Due::Get => meta::encode::tries(out, &self.keys.meta),
            Due::Command(command) => text::encode::try_command(out, command, &self.keys.text),
            Due::Store | Due::Behind => {}
        }
    }

    /// The step after this line, if it is an answer to the current question.
    fn answered(&mut self, line: &Line<'_>) -> Result<Next, Unfit> {
        let is = |token: Option<u64>, own: Token| token.is_none_or(|token| token == u64::from(own));
        let has_passed = self.known.has_passed(&self.text);
        Ok(match (self.due, line) {
            (Due::Version, Line::Version(text)) => return self.identified(text),
            (Due::Version, Line::ClientError(UNAUTHENTICATED)) if self.credentials.is_some() => {
                Next::Ask(Due::Authentication)
            }
            (Due::Authentication, Line::Head(head)) if head.code == Code::Done => Next::Ask(Due::Version),
            (Due::Authentication, Line::ClientError(_)) => return Err(Unfit::BadCredentials),
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
            // Memory is short, or a proxy has no server for the key. memcached sends this after it has read the command
            // and the value. For other servers that is unknown.
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

    /// The server has given its version.
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
            _ if self.begin == Begin::Meta && self.credentials.is_none() => Next::Due(Due::Noop),
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

    /// Whether text is possible if meta is not.
    fn may_be_text(&self) -> bool {
        self.known.wants(Protocol::Auto) && matches!(self.due, Due::Noop | Due::Get | Due::Store | Due::Behind)
    }

    /// Tries the next command of text, if one is left.
    fn try_text(&mut self) -> Next {
        self.answered = 0;
        match self.known.commands().untried() {
            Some(command) => Next::Ask(Due::Command(command)),
            None => Next::Pass(Dialect::Text(self.known.commands())),
        }
    }

    /// The answer to a command that is tried.
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
            // The server knows the command but cannot run it now: a proxy without a server for the key.
            Line::ServerError(_) => command != Command::Stats,
            Line::ClientError(_) => false,
            _ => return Next::Unfit,
        };
        if command == Command::Gets && !known {
            // Without versions, a comparing store would be done without its comparison.
            return Next::Unfit;
        }
        self.known.tried(command, known);
        self.try_text()
    }

    /// The server has closed the connection. What this says about it; `None`: nothing.
    pub fn closed(&self, input: &[u8]) -> Option<Known> {
        let mut known = self.known.clone();
        if !input.is_empty() || known.wants(Protocol::Meta) {
            return None;
        }
        match self.due {
            // Its earlier answers are not reliable any more.
            Due::Version | Due::Any if known.found().is_some() => None,
            Due::Version if self.begin == Begin::Version => Some(known.begins(Begin::Get)),
            Due::Any | Due::Authentication => None,
            Due::Command(Command::Gets) if known.found().is_some() => None,
            // One close may be chance, such as a restart. The first command of text is asked behind an answer to `mn`: if
            // that was an error, the close belongs to it (mcrouter).
            Due::Version | Due::Noop | Due::Get | Due::Store | Due::Behind | Due::Command(Command::Gets)
                if self.begin == Begin::Meta =>
            {
                Some(known.begins(Begin::Version))
            }
            Due::Version | Due::Noop | Due::Get | Due::Store | Due::Behind | Due::Command(Command::Gets) => {
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

    /// What a missing answer shows. Some services, such as TLS, have no lines. A proxy closes at user and password.
    pub fn unfinished(&self, input: &[u8], is_closed: bool) -> Option<Unfit> {
        let may_be_version = b"VERSION ".iter().zip(input).all(|(expected, byte)| expected == byte);
        match self.due {
            Due::Authentication if is_closed => Some(Unfit::Authentication),
            Due::Version if !self.secretive && !input.is_empty() && !may_be_version => Some(Unfit::foreign(input)),
            _ => None,
        }
    }

    /// Why the server cannot be used, from bytes that are no answer to the current question.
    fn unfit(&self, input: &[u8]) -> Unfit {
        let tried = match self.due {
            Due::Version | Due::Any if input.starts_with(TOO_MANY_CONNECTIONS) => return Unfit::TooManyConnections,
            Due::Version | Due::Noop | Due::Any | Due::Command(_)
                if input.starts_with(b"CLIENT_ERROR unauthenticated") =>
            {
                return Unfit::Unauthenticated;
            }
            Due::Version | Due::Any if !self.secretive => return Unfit::foreign(input),
            Due::Version | Due::Any | Due::Authentication => return Unfit::Authentication,
            Due::Noop | Due::Behind => "mn",
            Due::Get => "mg",
            Due::Store => "ms",
            Due::Command(command) => command.name(),
        };
        Unfit::Dialect { tried, answer: if self.secretive { Bytes::new() } else { quoted(input) } }
    }
}
