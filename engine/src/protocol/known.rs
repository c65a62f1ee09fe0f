//! What is known of a server's dialect, kept from one connection to the next.

use bytes::Bytes;

use super::dialect::Dialect;
use super::text::command::{Command, Commands};
use crate::config::Protocol;

/// The beginning of a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// `version` and `mn` in one write.
    Meta,
    /// `version` alone, for servers that close the connection at an unknown command.
    Version,
    /// A `get`, for servers that do not know `version`.
    Get,
}

/// What is known of a server. It is forgotten when the server is down, or a connection fails its greeting.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    wanted: Protocol,
    /// The dialect; `None`: it is not known yet.
    dialect: Option<Dialect>,
    /// The beginning of the next greeting, while the dialect is unknown.
    begin: Begin,
    /// The commands of text that are known so far.
    commands: Commands,
    /// Whether it has once answered a `get` after it had closed the connection at `version`.
    doubted: bool,
    /// The command at which it has once closed the connection.
    suspect: Option<Command>,
    /// The version text of the last complete greeting; empty: there was none, or its text was too long.
    passed: Bytes,
    /// The number of changes.
    edition: u32,
}

impl Known {
    /// Nothing, apart from the configuration.
    pub fn new(wanted: Protocol) -> Self {
        let begin = if wanted == Protocol::Text { Begin::Version } else { Begin::Meta };
        Known {
            wanted,
            dialect: None,
            begin,
            commands: Commands::default(),
            doubted: false,
            suspect: None,
            passed: Bytes::new(),
            edition: 0,
        }
    }

    /// The dialect that operations are checked against. While it is unknown, it is the one that supports most.
    #[inline]
    pub fn dialect(&self) -> Dialect {
        match self.dialect {
            Some(Dialect::Text(commands)) if commands.untried().is_none() => Dialect::Text(commands),
            _ if self.wanted == Protocol::Text => Dialect::Text(self.commands),
            _ => Dialect::Meta,
        }
    }

    /// The dialect that was found.
    pub fn found(&self) -> Option<Dialect> {
        self.dialect
    }

    /// Forgets what was found.
    pub fn forget(&mut self) {
        *self = Known { edition: self.edition.wrapping_add(1), ..Known::new(self.wanted) };
    }

    /// Whether nothing is left to find out.
    pub(super) fn is_complete(&self) -> bool {
        match self.dialect {
            Some(Dialect::Meta) => true,
            Some(Dialect::Text(commands)) => commands.untried().is_none(),
            None => false,
        }
    }

    /// Learns what a connection has found out, unless its knowledge is incomplete and others have learnt since it
    /// began.
    pub fn learn(&mut self, other: Known) {
        if self.edition == other.edition || other.is_complete() {
            *self = Known { edition: self.edition.wrapping_add(1), ..other };
        }
    }

    /// Whether the configuration says this.
    pub(crate) fn wants(&self, protocol: Protocol) -> bool {
        self.wanted == protocol
    }

    pub(super) fn begin(&self) -> Begin {
        match self.dialect {
            None => self.begin,
            Some(Dialect::Meta) => Begin::Meta,
            Some(Dialect::Text(commands)) if commands.has_version() => Begin::Version,
            Some(Dialect::Text(_)) => Begin::Get,
        }
    }

    /// The next greeting begins in another way.
    pub(super) fn begins(self, begin: Begin) -> Self {
        Known { begin, ..self }
    }

    /// The server has answered a `get`, after it had closed the connection at `version`. The close may have been
    /// chance, such as a proxy whose server was not up yet. So the first time, `version` is asked again, and this
    /// returns true.
    pub(super) fn doubts(&mut self) -> bool {
        self.begin = Begin::Version;
        !std::mem::replace(&mut self.doubted, true)
    }

    pub(super) fn commands(&self) -> Commands {
        self.commands
    }

    pub(super) fn without_version(&mut self) {
        self.commands = self.commands.without_version();
    }

    /// A command of text was tried.
    pub(super) fn tried(&mut self, command: Command, known: bool) {
        self.commands.learn(command, known);
    }

    /// The server closed the connection when a command was tried. If it does so twice, it does not know the command;
    /// once may be chance.
    pub(super) fn closed_at(&mut self, command: Command) {
        if self.suspect.replace(command) == Some(command) {
            self.tried(command, false);
        }
    }

    /// Its version differs from the one of the last complete greeting.
    pub(super) fn start_over(&mut self) {
        self.commands = Commands::default();
        self.dialect = None;
    }

    /// A complete greeting has succeeded.
    pub(super) fn pass(&mut self, dialect: Dialect, text: Bytes) {
        self.dialect = Some(dialect);
        self.passed = text;
    }

    /// Whether a complete greeting has succeeded with this version text.
    pub(super) fn has_passed(&self, text: &[u8]) -> bool {
        self.dialect.is_some() && self.passed == text
    }
}
