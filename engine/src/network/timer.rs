//! Timers.

use crate::id::{CallId, ConnId, ServerId};

/// The purpose of an entry in [`Timers`](crate::timers::Timers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The operation's deadline.
    Call(CallId),
    /// The connection has not passed its greeting in time.
    Connect(ConnId),
    /// The connection goes to an address that is not in use any more.
    Leave(ConnId),
    /// The placeholder with this number has no reply yet.
    Overdue(ConnId, u32),
    /// The lease get asks again.
    Ask(CallId),
    /// Maintenance of the server's pool and health.
    Server(ServerId),
    /// Another process may have changed what the operator wants.
    Switches,
    /// Spare memory of large values may be unused.
    SpareValues,
}
