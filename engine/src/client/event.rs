//! What a client asks of its driver, and what it tells it.

use bytes::Bytes;

use super::{ConnId, ServerId};
use crate::connection::Unfit;
use crate::protocol::version::Version;
use crate::stats::Fault;

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Connect a socket; the answer is [`connected`](super::Client::connected) or [`closed`](super::Client::closed).
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

/// How the driver lost a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nobody listens there: the connect was refused.
    Refused,
    /// The socket's path does not exist.
    NoSocket,
    /// The system does not let us connect there.
    Denied,
    /// There is no way to the host.
    Unreachable,
    /// The connect failed in another way.
    Connect,
    /// There was no descriptor, port or memory for a socket here: not the server's fault.
    NoResources,
    /// The server closed it.
    Eof,
    /// It was reset, or failed in another way.
    Error,
    /// The driver has to close it.
    Closing,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The driver lost it.
    Lost(Loss),
    /// It was not connected in time.
    ConnectTimeout,
    /// It was connected, but the greeting was not answered in time.
    Unanswered,
    /// It was connected, and closed by the server before the greeting was answered.
    HungUp,
    /// What the server answered to the greeting says that it cannot be used.
    Unfit(Unfit),
    /// A reply that does not belong there. It is not shown: once replies and requests are out of step, any of its
    /// bytes may be somebody's value.
    Protocol,
    /// The same, to a request whose key was sent encoded. The key's bytes may be what the server gets wrong, and they
    /// may be a stranger's choice: the connection is out of step, but this does not count as a failure of the server.
    EncodedKey,
    /// The server refused a request in a way that leaves open where the next reply begins.
    Refused,
    /// A reply is late by more than a deadline.
    Overdue,
    /// As many operations in a row timed out as the configuration allows.
    Timeouts,
}

/// Something that is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection could not be used from the start. What the driver saw itself is not repeated.
    ConnectFailed {
        /// To which server.
        server: ServerId,
        /// Why.
        cause: Cause,
    },
    /// A connection ended, and operations with it.
    ConnectionLost {
        /// To which server.
        server: ServerId,
        /// Why.
        cause: Cause,
        /// Operations that failed or had to be sent again.
        operations: usize,
    },
    /// Operations for this server fail at once from now on.
    ServerDown {
        /// Which.
        server: ServerId,
        /// What was the last straw.
        cause: Cause,
    },
    /// The server has answered again.
    ServerUp {
        /// Which.
        server: ServerId,
    },
    /// The server is asked at another of its addresses from now on.
    AddressChanged {
        /// Which.
        server: ServerId,
        /// The number of the address.
        address: usize,
    },
}

impl Event {
    /// Which server it is about.
    pub fn server(&self) -> ServerId {
        match *self {
            Event::ConnectFailed { server, .. }
            | Event::ConnectionLost { server, .. }
            | Event::ServerDown { server, .. }
            | Event::ServerUp { server }
            | Event::AddressChanged { server, .. } => server,
        }
    }

    /// The line for the log, about the server called `name`. Bytes from the peer are escaped.
    pub fn text(&self, name: &[u8]) -> String {
        let name = name.escape_ascii();
        match self {
            Event::ConnectFailed { cause: cause @ Cause::Unfit(unfit), .. } => match unfit {
                Unfit::TooManyConnections => {
                    format!("memcache: server \"{name}\" has too many connections, this one was refused")
                }
                Unfit::TooOld(version) => format!(
                    "memcache: server \"{name}\" is memcached {version}, which is too old: {} or later is needed",
                    Version::OLDEST
                ),
                Unfit::Unauthenticated => format!("memcache: server \"{name}\" wants a password, which is not supported"),
                Unfit::Dialect { tried, answer } => format!(
                    "memcache: server \"{name}\" does not speak memcached's meta protocol: it answered \"{}\" to \"{tried}\"",
                    escape(answer)
                ),
                Unfit::Foreign(bytes) => {
                    let what = cause.text();
                    format!("memcache: \"{name}\" is {what}: it answered \"{}\"", escape(bytes))
                }
            },
            Event::ConnectFailed { cause, .. } => format!("memcache: no connection to \"{name}\": {}", cause.text()),
            Event::ConnectionLost { cause: Cause::Protocol | Cause::EncodedKey, operations, .. } => format!(
                "memcache: unexpected reply from \"{name}\", closing connection, operations affected: {operations}"
            ),
            Event::ConnectionLost { cause, operations, .. } => {
                format!("memcache: connection to \"{name}\" lost, operations affected: {operations}, {}", cause.text())
            }
            Event::ServerDown { cause, .. } => format!("memcache: server \"{name}\" is down: {}", cause.reason()),
            Event::ServerUp { .. } => format!("memcache: server \"{name}\" is up"),
            Event::AddressChanged { .. } => format!("memcache: server \"{name}\" is asked there from now on"),
        }
    }
}

impl Cause {
    fn text(&self) -> &'static str {
        Fault::from(self).text()
    }

    /// What was seen, and what it may come from.
    fn reason(&self) -> String {
        let fault = Fault::from(self);
        match fault.hint() {
            "" => fault.text().into(),
            hint => format!("{} ({hint})", fault.text()),
        }
    }

    /// Whether there has to be a line about a connection that could not be used for this: of what else there is, the
    /// driver has said what the system said.
    pub(super) fn is_news(&self) -> bool {
        matches!(self, Cause::ConnectTimeout | Cause::Unanswered | Cause::HungUp | Cause::Unfit(_))
    }
}

impl Loss {
    /// Whether the connect failed in a way that says that no other connection will do better.
    pub(super) fn is_final(self) -> bool {
        matches!(self, Loss::Refused | Loss::NoSocket | Loss::Denied | Loss::Unreachable | Loss::Connect)
    }
}

fn escape(bytes: &Bytes) -> impl std::fmt::Display + '_ {
    bytes.trim_ascii_end().escape_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_from_peers_are_escaped() {
        let cause = Cause::Unfit(Unfit::Foreign(Bytes::from_static(b"\x1b[2J\r\n\xff\"\r\n")));
        let event = Event::ConnectFailed { server: 0, cause };
        assert_eq!(
            event.text(b"h\n:1"),
            "memcache: \"h\\n:1\" is not a memcached server: it answered \
             \"\\x1b[2J\\r\\n\\xff\\\"\""
        );
    }

    #[test]
    fn r27_lines_say_what_was_seen_and_what_it_may_be() {
        let down = |cause| Event::ServerDown { server: 0, cause }.text(b"h:1");
        assert_eq!(
            down(Cause::Unanswered),
            "memcache: server \"h:1\" is down: connected, but the greeting is not answered (a TLS port, the binary \
             protocol, or a server that hangs)"
        );
        let text = "memcache: server \"h:1\" is down: the server refused a request (";
        assert!(down(Cause::Refused).starts_with(text));
        let failed = |cause| Event::ConnectFailed { server: 0, cause }.text(b"h:1");
        let text = "memcache: no connection to \"h:1\": closed by the server at the greeting";
        assert_eq!(failed(Cause::HungUp), text);
        let alert = Unfit::Foreign(Bytes::from_static(b"\x15\x03\x03\0\x02\x02F"));
        assert_eq!(
            failed(Cause::Unfit(alert)),
            "memcache: \"h:1\" is a TLS port: it answered \"\\x15\\x03\\x03\\x00\\x02\\x02F\""
        );
    }
}
