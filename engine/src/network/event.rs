//! Events for the log.

use bytes::Bytes;

use super::cause::Cause;
use crate::id::ServerId;
use crate::protocol::unfit::Unfit;
use crate::protocol::version::Version;

/// An event that is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection failed before it was ready. Errors that the driver has seen itself are not repeated.
    ConnectFailed {
        /// The server.
        server: ServerId,
        /// The cause.
        cause: Cause,
    },
    /// A connection ended, with operations pending.
    ConnectionLost {
        /// The server.
        server: ServerId,
        /// The cause.
        cause: Cause,
        /// The operations that failed, or have to be sent again.
        operations: usize,
    },
    /// Operations for this server fail at once from now on.
    ServerDown {
        /// The server.
        server: ServerId,
        /// The cause of the last failure.
        cause: Cause,
    },
    /// The server has answered again.
    ServerUp {
        /// The server.
        server: ServerId,
    },
    /// The server is used at another of its addresses from now on.
    AddressChanged {
        /// The server.
        server: ServerId,
        /// The number of the address.
        address: usize,
    },
    /// The server speaks the text protocol.
    SpeaksText {
        /// The server.
        server: ServerId,
        /// The configuration says so, whatever the server speaks.
        told: bool,
        /// The commands that the server does not know.
        unknown: Vec<&'static str>,
    },
}

impl Event {
    /// The event's server.
    pub fn server(&self) -> ServerId {
        match *self {
            Event::ConnectFailed { server, .. }
            | Event::ConnectionLost { server, .. }
            | Event::ServerDown { server, .. }
            | Event::ServerUp { server }
            | Event::SpeaksText { server, .. }
            | Event::AddressChanged { server, .. } => server,
        }
    }

    /// The line for the log, about the server called `name`. Bytes from the server are escaped.
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
                Unfit::Unauthenticated | Unfit::BadCredentials | Unfit::Authentication => {
                    format!("memcache: server \"{name}\" cannot be used: {}", cause.text())
                }
                Unfit::Dialect { tried, answer } if answer.is_empty() => format!(
                    "memcache: server \"{name}\" does not speak memcached's protocol, by its answer to \"{tried}\""
                ),
                Unfit::Dialect { tried, answer } => format!(
                    "memcache: server \"{name}\" does not speak memcached's protocol: it answered \"{}\" to \"{tried}\"",
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
            Event::SpeaksText { told, unknown, .. } => {
                let (speaks, has) = match told {
                    true => ("is spoken to in the text protocol, by \"memcache_protocol\"", "that has"),
                    false => ("speaks the text protocol", "it has"),
                };
                let unknown = match unknown.as_slice() {
                    [] => String::new(),
                    unknown => format!("; the server does not know {}", unknown.join(", ")),
                };
                format!(
                    "memcache: server \"{name}\" {speaks}: {has} no leases, stale items, metadata and deletes of one version, \
                     and no keys with spaces or control characters{unknown}"
                )
            }
            Event::AddressChanged { .. } => format!("memcache: server \"{name}\" is asked there from now on"),
        }
    }
}

fn escape(bytes: &Bytes) -> impl std::fmt::Display + '_ {
    bytes.trim_ascii_end().escape_ascii()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_server_that_speaks_text_lacks() {
        let text = |told, unknown: &[&'static str]| {
            Event::SpeaksText { server: 0, told, unknown: unknown.to_vec() }.text(b"a")
        };
        let lacks = "no leases, stale items, metadata and deletes of one version, and no keys with spaces or control characters";
        assert_eq!(text(false, &[]), format!("memcache: server \"a\" speaks the text protocol: it has {lacks}"));
        let told = "memcache: server \"a\" is spoken to in the text protocol, by \"memcache_protocol\": that has";
        assert_eq!(text(true, &["gats", "stats"]), format!("{told} {lacks}; the server does not know gats, stats"));
    }

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
            down(Cause::Unanswered(Duration::from_millis(200))),
            "memcache: server \"h:1\" is down: connected, but the greeting is not answered after 200ms (memcache_connect_timeout \
             is too short for a slow link, the binary protocol, a server that hangs, or a TLS port where memcache_ssl is off)"
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
