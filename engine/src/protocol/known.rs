//! What is known of how a server speaks, from one of its connections to the next.

use bytes::Bytes;

use super::dialect::Dialect;
use super::text::command::{Command, Commands};
use crate::config::Protocol;

/// How a greeting begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// With `version` and `mn` in one write.
    Meta,
    /// With `version` alone, as some close the connection of all that they do not know.
    Version,
    /// With a `get`, as some do not even know that.
    Get,
}

/// What is known of a server. It is kept until the server is down, or a connection fails its greeting.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    wanted: Protocol,
    /// What the server speaks; `None`: it is not known yet.
    dialect: Option<Dialect>,
    /// How the next greeting begins, as long as that is so.
    begin: Begin,
    /// The commands of text that are known so far.
    commands: Commands,
    /// Whether it has answered a `get` after it had closed the connection of a `version`, once so far.
    doubted: bool,
    /// The command at which it has closed a connection, once so far.
    suspect: Option<Command>,
    /// The version text with which it has passed a whole greeting; empty: it has not, or its text is too long.
    passed: Bytes,
    /// How often it has changed.
    edition: u32,
}

impl Known {
    /// Nothing, but what is configured.
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

    /// What its operations are judged by. As long as that is not certain it is what can do most.
    #[inline]
    pub fn dialect(&self) -> Dialect {
        match self.dialect {
            Some(Dialect::Text(commands)) if commands.untried().is_none() => Dialect::Text(commands),
            _ if self.wanted == Protocol::Text => Dialect::Text(self.commands),
            _ => Dialect::Meta,
        }
    }

    /// What it has been found to speak.
    pub fn found(&self) -> Option<Dialect> {
        self.dialect
    }

    /// Forgets what was found.
    pub fn forget(&mut self) {
        *self = Known { edition: self.edition.wrapping_add(1), ..Known::new(self.wanted) };
    }

    /// Whether there is nothing left to find out.
    pub(super) fn is_complete(&self) -> bool {
        match self.dialect {
            Some(Dialect::Meta) => true,
            Some(Dialect::Text(commands)) => commands.untried().is_none(),
            None => false,
        }
    }

    /// Learns what a connection has found out, unless that began with less than is known by now.
    pub fn learn(&mut self, other: Known) {
        if self.edition == other.edition || other.is_complete() {
            *self = Known { edition: self.edition.wrapping_add(1), ..other };
        }
    }

    pub(super) fn wants(&self, protocol: Protocol) -> bool {
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

    /// The next greeting begins otherwise.
    pub(super) fn begins(self, begin: Begin) -> Self {
        Known { begin, ..self }
    }

    /// It has answered a `get`, and had closed the connection of a `version`. That may have been chance: it was not up yet,
    /// and what is in front of it was. So the first time it is asked for its version once more, and this returns true.
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

    /// The server has closed the connection at a command that was tried. It does not know it if that was not chance, and so
    /// happens again.
    pub(super) fn closed_at(&mut self, command: Command) {
        if self.suspect.replace(command) == Some(command) {
            self.tried(command, false);
        }
    }

    /// It is another version than the one that has passed.
    pub(super) fn start_over(&mut self) {
        self.commands = Commands::default();
        self.dialect = None;
    }

    /// It has passed a whole greeting.
    pub(super) fn pass(&mut self, dialect: Dialect, text: Bytes) {
        self.dialect = Some(dialect);
        self.passed = text;
    }

    /// Whether it has passed with this version text.
    pub(super) fn has_passed(&self, text: &[u8]) -> bool {
        self.dialect.is_some() && self.passed == text
    }
}
