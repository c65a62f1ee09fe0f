//! What is due at a moment.

use crate::id::{CallId, ConnId, ServerId};

/// What a moment in [`Timers`](crate::timers::Timers) is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The operation's deadline.
    Call(CallId),
    /// The connection has not passed its handshake.
    Connect(ConnId),
    /// The connection goes to an address that the server is not asked at any more.
    Leave(ConnId),
    /// The placeholder with this number has not got its reply.
    Overdue(ConnId, u32),
    /// The lease get asks again.
    Ask(CallId),
    /// The server's pool and health.
    Server(ServerId),
    /// Memory of large values may be unused.
    SpareValues,
}
