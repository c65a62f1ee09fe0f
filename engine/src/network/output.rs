//! What a client asks of its driver.

use super::event::Event;
use crate::id::{ConnId, ServerId};

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect a socket; the answer is [`connected`](crate::Client::connected) or [`closed`](crate::Client::closed).
    Open {
        /// The name of the new connection.
        conn: ConnId,
        /// To which server.
        server: ServerId,
        /// To which of its addresses, less than [`addresses`](crate::ServerConfig::addresses).
        address: usize,
    },
    /// Close the socket. The connection is gone already: nothing that happens to it any more is of interest.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Something that is worth a line in the log.
    Event(Event),
}
