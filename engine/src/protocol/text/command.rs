//! Commands of the text protocol that some servers do not know.

use crate::operation::key::Key;
use crate::operation::request::{ServerVerb, StoreMode, Verb};
use crate::operation::work::Work;

/// A command that a server may not know. Such a server answers with an error, like memcached, or closes the connection
/// with all requests on it, like twemproxy. So the greeting tries each one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Gets,
    Touch,
    Gats,
    /// `stats` and `flush_all`. The latter cannot be tried without an effect, so the answer to `stats` counts for both.
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

    /// That a server does not know it.
    fn is_unknown(self) -> &'static str {
        match self {
            Command::Gets => "it does not know gets",
            Command::Touch => "it does not know touch",
            Command::Gats => "it does not know gats",
            Command::Stats => "it does not know stats",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The commands that a server knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Commands {
    tried: u8,
    known: u8,
    /// Its answer to `version` is no version, or there was none.
    no_version: bool,
}

impl Commands {
    /// Whether it knows the command. An untried one counts as known.
    pub fn knows(self, command: Command) -> bool {
        self.tried & command.bit() == 0 || self.known & command.bit() != 0
    }

    /// The next command to try.
    pub fn untried(self) -> Option<Command> {
        Command::ALL.into_iter().find(|command| self.tried & command.bit() == 0)
    }

    /// The result of a trial.
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

    /// Whether the operation is supported, with this key.
    #[inline(never)]
    pub fn can(self, key: Option<&Key>, work: &Work) -> bool {
        !key.is_some_and(Key::is_binary) && self.lacks(key, work).is_none()
    }

    /// Why the operation is not supported; `None`: it is.
    #[inline(never)]
    pub fn lacks(self, key: Option<&Key>, work: &Work) -> Option<&'static str> {
        let needs = |command: Command| (!self.knows(command)).then(|| command.is_unknown());
        match work {
            Work::Keyed(verb) => match verb {
                Verb::Get { touch: None } => None,
                Verb::Get { touch: Some(_) } => needs(Command::Gats),
                Verb::Touch { .. } => needs(Command::Touch),
                Verb::Store { cas: 0, .. } | Verb::Store { mode: StoreMode::Set, .. } => None,
                Verb::Store { .. } => Some("it does not compare versions on add, replace, append and prepend"),
                // memcached 1.6.45 takes the word at the end of the line for an option and sends no answer, so that the
                // next request would get another one's reply. In other commands with this option, the key is not at the
                // end of the line.
                Verb::Delete { cas: 0 } if key.is_some_and(|key| key.raw() == b"noreply") => {
                    Some("it may take the key noreply of a delete for an option")
                }
                Verb::Delete { cas: 0 } => None,
                Verb::Delete { .. } => Some("it does not compare versions on delete"),
                Verb::Count { cas: 0, .. } => None,
                Verb::Count { .. } => Some("it does not compare versions on incr and decr"),
                Verb::Lease { .. } => Some("it has no leases"),
                Verb::Invalidate { .. } => Some("it has no stale items"),
                Verb::Inspect => Some("it has no metadata"),
            },
            Work::Create { .. } => None,
            Work::SetBack { .. } => Some("it does not tell the life of an item"),
            Work::Server(ServerVerb::Noop | ServerVerb::Version) => {
                self.no_version.then_some("it does not tell its version")
            }
            Work::Server(ServerVerb::Stats) => needs(Command::Stats),
            Work::Server(ServerVerb::FlushAll { .. }) => {
                (!self.knows(Command::Stats)).then_some("it may not know flush_all")
            }
            Work::Server(ServerVerb::Discover { .. }) => None,
        }
    }
}
