//! What workers say of a server.

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Operations are sent.
    Live,
    /// Operations fail at once; a timer probes.
    Down,
    /// Taken out of use: operations fail at once, and nothing probes.
    Disabled,
}

impl State {
    /// The word in logs and diagnostics.
    pub fn name(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Down => "down",
            State::Disabled => "disabled",
        }
    }
}
