//! Commands that not everything knows that speaks the text protocol.

use crate::operation::key::Key;
use crate::operation::request::{ServerVerb, StoreMode, Verb};
use crate::operation::work::Work;

/// A command that a server may not know. What does not know one answers an error, as memcached does, or closes the
/// connection with all that is under way on it, as twemproxy does: so each is tried alone, by the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Gets,
    Touch,
    Gats,
    /// `stats`, and `flush_all`, which cannot be tried without being done: what knows one knows the other.
    Stats,
}

impl Command {
    pub const ALL: [Command; 4] = [Command::Gets, Command::Touch, Command::Gats, Command::Stats];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Command::Gets => "gets",
            Command::Touch => "touch",
            Command::Gats => "gats",
            Command::Stats => "stats",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Which of them a server knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commands {
    tried: u8,
    known: u8,
    /// It has another answer to `version` than a version, or none.
    no_version: bool,
}

impl Commands {
    /// As far as nothing was tried, all are known.
    pub fn knows(self, command: Command) -> bool {
        self.tried & command.bit() == 0 || self.known & command.bit() != 0
    }

    /// The next one to be tried.
    pub fn untried(self) -> Option<Command> {
        Command::ALL.into_iter().find(|command| self.tried & command.bit() == 0)
    }

    /// One was tried.
    pub fn learn(&mut self, command: Command, known: bool) {
        self.tried |= command.bit();
        if known {
            self.known |= command.bit();
        }
    }

    pub fn has_version(self) -> bool {
        !self.no_version
    }

    pub fn without_version(self) -> Self {
        Commands { no_version: true, ..self }
    }

    /// Whether that can be done, and with this key.
    #[inline(never)]
    pub fn can(self, key: Option<&Key>, work: &Work) -> bool {
        !key.is_some_and(Key::is_binary) && self.lacks(key, work).is_none()
    }

    /// Why that cannot be done; `None`: it can.
    #[inline(never)]
    pub fn lacks(self, key: Option<&Key>, work: &Work) -> Option<&'static str> {
        let needs = |command: Command| (!self.knows(command)).then(|| command.name());
        match work {
            Work::Keyed(verb) => match verb {
                Verb::Get { touch: None } => None,
                Verb::Get { touch: Some(_) } => needs(Command::Gats),
                Verb::Touch { .. } => needs(Command::Touch),
                Verb::Store { cas: 0, .. } | Verb::Store { mode: StoreMode::Set, .. } => None,
                Verb::Store { .. } => Some("a version to compare on add, replace, append and prepend"),
                // memcached 1.6.45 takes the word at the end of the line for an option, and answers nothing: whoever asks next
                // gets another's reply. The key ends no other line of a command that has this option.
                Verb::Delete { cas: 0 } if key.is_some_and(|key| key.raw() == b"noreply") => {
                    Some("a delete of the key \"noreply\"")
                }
                Verb::Delete { cas: 0 } => None,
                Verb::Delete { .. } => Some("a version to compare on delete"),
                Verb::Count { cas: 0, .. } => None,
                Verb::Count { .. } => Some("a version to compare on incr and decr"),
                Verb::Lease { .. } => Some("leases"),
                Verb::Invalidate { .. } => Some("stale items"),
                Verb::Inspect => Some("metadata"),
            },
            Work::Create { .. } => None,
            Work::SetBack { .. } => Some("the life of an item"),
            Work::Server(ServerVerb::Noop | ServerVerb::Version) => self.no_version.then_some("version"),
            Work::Server(ServerVerb::Stats) => needs(Command::Stats),
            Work::Server(ServerVerb::FlushAll { .. }) => (!self.knows(Command::Stats)).then_some("flush_all"),
        }
    }
}
