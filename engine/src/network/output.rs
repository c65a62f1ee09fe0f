//! What a client asks of its driver.

use super::event::Event;
use crate::id::{ConnId, ServerId};

/// A task for the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect a socket; the answer is [`connected`](crate::Client::connected) or [`closed`](crate::Client::closed).
    Open {
        /// The id of the new connection.
        conn: ConnId,
        /// The server.
        server: ServerId,
        /// The number of its address, less than [`addresses`](crate::ServerConfig::addresses).
        address: usize,
    },
    /// Close the socket. The connection's id is already invalid: no further event on it counts.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// An event that is worth a line in the log.
    Event(Event),
    /// The server has left the list, and its last connection is closed: the driver may forget it. Nothing else about it
    /// follows, unless a server begins at its place.
    Gone {
        /// The server.
        server: ServerId,
    },
}
