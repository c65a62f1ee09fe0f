//! States of a server.

/// The state of a server. The crate for siblings and the status have an enum of their own, as neither depends on this
/// crate; `src/` does not compile without a value of theirs for each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Operations are sent.
    Live,
    /// Operations fail at once; a timer probes.
    Down,
    /// Taken out of use, by a sibling or by the operator's [`Switch`](super::Switch): operations fail at once, and nothing probes.
    Disabled,
}
