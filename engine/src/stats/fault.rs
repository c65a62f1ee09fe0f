//! The last error of a server, in one word of memory.

use std::time::Duration;

use crate::metrics::counter::Counter;
use crate::operation::error::Error;
use crate::time::Instant;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident: $class:literal, $text:literal, $hint:literal;)*) => {
        /// An error of a server.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Fault] = &[$(Fault::$name),*];

            /// One word.
            pub fn class(self) -> &'static str {
                match self {
                    $(Fault::$name => $class,)*
                }
            }

            /// What happened, in a few words, without any bytes of a server.
            pub fn text(self) -> &'static str {
                match self {
                    $(Fault::$name => $text,)*
                }
            }

            /// A possible cause, or where to look; may be empty.
            pub fn hint(self) -> &'static str {
                match self {
                    $(Fault::$name => $hint,)*
                }
            }
        }
    };
}

faults! {
    /// [`Cause::Unresolved`](crate::Cause::Unresolved)
    Unresolved: "unresolved", "its name cannot be resolved",
        "there is no such name, it has no address, or the resolver does not answer: the error log has the reason";
    /// [`Loss::Refused`](crate::Loss::Refused)
    Refused: "refused", "connection refused",
        "nobody listens there: its host answers, memcached does not run";
    /// [`Loss::NoSocket`](crate::Loss::NoSocket)
    NoSocket: "no_socket", "the socket does not exist",
        "memcached does not run, or has its socket elsewhere";
    /// [`Loss::Denied`](crate::Loss::Denied)
    Denied: "denied", "permission denied",
        "the socket's mode and owner, or those of a folder above it, or a firewall of this host";
    /// [`Loss::Unreachable`](crate::Loss::Unreachable)
    Unreachable: "unreachable", "no route to its host",
        "the network, a route, or a firewall that says so";
    /// [`Loss::Connect`](crate::Loss::Connect)
    Connect: "connect", "connect failed",
        "the error log has the system's reason";
    /// [`Loss::NoResources`](crate::Loss::NoResources)
    NoResources: "no_resources", "no resources for a connection",
        "nginx has run out of connections: worker_connections, worker_rlimit_nofile, or local ports";
    /// [`Loss::Eof`](crate::Loss::Eof)
    Eof: "closed", "closed by the server",
        "memcached was stopped or restarted, or something between closes connections";
    /// [`Loss::Error`](crate::Loss::Error)
    Lost: "lost", "the connection broke",
        "memcached was stopped or restarted, or something between closes connections";
    /// [`Loss::Closing`](crate::Loss::Closing)
    Closing: "closing", "closed here", "";
    /// [`Cause::ConnectTimeout`](crate::Cause::ConnectTimeout)
    ConnectTimeout: "connect_timeout", "connecting timed out",
        "nothing comes back: a firewall that drops, a host that is off, a full backlog of memcached, or \
         memcache_connect_timeout is too short for a slow link";
    /// [`Cause::Unanswered`](crate::Cause::Unanswered)
    Unanswered: "unanswered", "connected, but the greeting is not answered",
        "memcache_connect_timeout is too short for a slow link, the binary protocol, a server that hangs, or a TLS \
         port where memcache_ssl is off";
    /// The same, where the server has said its version before.
    Stalled: "stalled", "connected, but the greeting is not answered any more",
        "it answered before: memcached hangs, is overloaded, or memcache_connect_timeout is too short for a slow link";
    /// [`Cause::HungUp`](crate::Cause::HungUp)
    HungUp: "hung_up", "closed by the server at the greeting",
        "where memcache_ssl is off, a TLS port; where it is on, a terminator of TLS without a server behind it; the \
         binary protocol, or authentication; with memcache_protocol meta, a proxy of the text protocol";
    /// The same, where the server has said its version before.
    CutOff: "cut_off", "closed by the server at the greeting, which it answered before",
        "memcached is being stopped or was restarted with other options, or something between closes connections";
    /// [`Unfit::Foreign`](crate::Unfit::Foreign)
    Handshake: "handshake", "not a memcached server",
        "another service listens there; the error log has the first bytes of its answer";
    /// [`Unfit::Foreign`](crate::Unfit::Foreign), where the answer is an alert of TLS.
    Tls: "tls", "a TLS port",
        "memcached or something before it wants TLS: memcache_ssl on";
    /// [`Unfit::TooOld`](crate::Unfit::TooOld)
    TooOld: "too_old", "memcached is too old: 1.6.10 or later is needed",
        "memcache_protocol is meta; with auto it is spoken to in text";
    /// [`Unfit::TooManyConnections`](crate::Unfit::TooManyConnections), [`Loss::Full`](crate::Loss::Full)
    Full: "full", "the server has too many connections",
        "memcached has as many as its option -c allows";
    /// [`Unfit::Unauthenticated`](crate::Unfit::Unauthenticated)
    Unauthenticated: "unauthenticated", "the server requires authentication",
        "memcached was started with -Y, and memcache_auth_file is not set; or it is behind a proxy, which does not \
         authenticate";
    /// [`Unfit::BadCredentials`](crate::Unfit::BadCredentials)
    BadCredentials: "bad_credentials", "the server refused the user and password of memcache_auth_file",
        "memcached reads its own file again at SIGHUP, and nginx reads memcache_auth_file at a reload";
    /// [`Unfit::Authentication`](crate::Unfit::Authentication)
    Authentication: "authentication", "the server did not answer the authentication as memcached does",
        "a proxy, which does not authenticate to the servers behind it, or a clone; its answer is not shown, as it \
         may have the password in it";
    /// [`Unfit::Dialect`](crate::Unfit::Dialect)
    Dialect: "dialect", "the server does not know all of memcached's commands",
        "a proxy or a clone; the error log has what it answered to what";
    /// [`Cause::Protocol`](crate::Cause::Protocol)
    Protocol: "protocol", "unexpected reply",
        "something else than memcached answers, or something between changes what it says";
    /// [`Cause::EncodedKey`](crate::Cause::EncodedKey)
    EncodedKey: "encoded_key", "unexpected reply to a key that was sent encoded",
        "a clone that does not know keys with spaces or control characters";
    /// [`Cause::Refused`](crate::Cause::Refused)
    Rejected: "rejected", "the server refused a request",
        "a key that it does not take, or a value where memcache_max_value is not below its -I; the connection was \
         closed, as it was not clear where the next reply begins";
    /// [`Cause::Overdue`](crate::Cause::Overdue)
    Overdue: "overdue", "a reply is overdue",
        "it takes connections and does not answer: memcached hangs, is overloaded, or the network loses packets";
    /// [`Cause::Timeouts`](crate::Cause::Timeouts)
    Timeouts: "timeouts", "operations time out",
        "it takes connections and does not answer: memcached hangs, is overloaded, or the network loses packets";
    /// [`Error::Timeout`]
    Timeout: "timeout", "an operation timed out",
        "it takes connections and does not answer: memcached hangs, is overloaded, or the network loses packets";
    /// [`Error::Server`]
    Server: "server", "SERVER_ERROR was answered",
        "it has no memory for the item, memcache_max_value is not below its -I, or it is a proxy whose server is \
         down; the error log has the text";
    /// [`Loss::NotTls`](crate::Loss::NotTls)
    NotTls: "not_tls", "the server does not speak TLS",
        "memcache_ssl is on, and memcached was started without -Z, or the port is another one";
    /// [`Loss::Handshake`](crate::Loss::Handshake)
    TlsFailed: "tls_failed", "the TLS handshake failed",
        "no protocol or cipher in common, a client certificate that is missing or that the server does not take \
         (memcache_ssl_certificate), or no TLS at all; the error log has OpenSSL's reason at level info";
    /// [`Cause::TlsTimeout`](crate::Cause::TlsTimeout)
    TlsTimeout: "tls_timeout", "connected, but the TLS handshake is not finished",
        "the server speaks no TLS, it hangs, or memcache_connect_timeout is too short for a slow link";
    /// [`Loss::Expired`](crate::Loss::Expired)
    Expired: "expired", "the server's certificate has expired",
        "it needs a new one, or the clock of this host is wrong";
    /// [`Loss::WrongName`](crate::Loss::WrongName)
    WrongName: "wrong_name", "the server's certificate is for another name",
        "it has to be for the host as memcache_server says it, or for memcache_ssl_name";
    /// [`Loss::Untrusted`](crate::Loss::Untrusted)
    Untrusted: "untrusted", "the server's certificate is not trusted",
        "no authority of memcache_ssl_trusted_certificate, or of the system where there is none, has signed it, it \
         was revoked, or memcache_ssl_crl lacks a list; the error log has OpenSSL's reason";
}

impl Fault {
    /// [`text`](Fault::text), with the time if a timeout of a directive has expired.
    pub fn text_with(self, connect_timeout: Duration) -> String {
        match self {
            Fault::ConnectTimeout | Fault::TlsTimeout | Fault::Unanswered | Fault::Stalled => {
                format!("{} after {}ms", self.text(), connect_timeout.as_millis())
            }
            _ => self.text().into(),
        }
    }

    /// The fault of the server behind an operation's error. There is none for errors that follow from an earlier fault, such as
    /// [`Error::ServerDown`], and for errors of the caller, such as [`Error::Client`].
    fn of(error: &Error) -> Option<Self> {
        match error {
            Error::Timeout { .. } => Some(Fault::Timeout),
            Error::Server(_) => Some(Fault::Server),
            _ => None,
        }
    }
}

const CODE_BITS: u32 = 8;

/// The last fault, and its time; zero for none.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct LastFault(Counter);

impl LastFault {
    pub(crate) fn note(&self, fault: Fault, now: Instant) {
        self.0.set(now.as_micros() << CODE_BITS | (fault as u64).wrapping_add(1));
    }

    pub(crate) fn note_error(&self, error: &Error, now: Instant) {
        if let Some(fault) = Fault::of(error) {
            self.note(fault, now);
        }
    }

    pub(super) fn fold(&self, own: &LastFault) {
        self.0.fold_largest(&own.0);
    }

    /// What it was, and when.
    pub fn get(&self) -> Option<(Fault, Instant)> {
        let word = self.0.get();
        let code = (word & ((1 << CODE_BITS) - 1)).checked_sub(1)?;
        Some((*Fault::ALL.get(code as usize)?, Instant::from_micros(word >> CODE_BITS)))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn every_fault_is_read_as_it_was_written() {
        let last = LastFault::default();
        assert_eq!(last.get(), None);
        let now = Instant::from_micros(77_000_000_000_001);
        for &fault in Fault::ALL {
            last.note(fault, now);
            assert_eq!(last.get(), Some((fault, now)));
        }
        for error in [Error::ServerDown, Error::Client(Bytes::new()), Error::TooLarge { size: 2, limit: 1 }] {
            last.note_error(&error, now.after(std::time::Duration::from_secs(1)));
            assert_eq!(last.get(), Fault::ALL.last().map(|&fault| (fault, now)), "{error}");
        }
    }

    #[test]
    fn a_time_that_has_run_out_is_named_with_its_directive() {
        let timed =
            Fault::ALL.iter().filter(|fault| fault.text_with(Duration::from_millis(250)).ends_with(" after 250ms"));
        let timed: Vec<_> = timed.collect();
        assert_eq!(timed, [&Fault::ConnectTimeout, &Fault::Unanswered, &Fault::Stalled, &Fault::TlsTimeout]);
        assert!(timed.iter().all(|fault| fault.hint().contains("memcache_connect_timeout")));
        assert_eq!(Fault::Eof.text_with(Duration::from_secs(1)), Fault::Eof.text());
    }

    /// A status, an alert and a log are read by class, which is a word of its own.
    #[test]
    fn r27_classes_are_words_and_hints_say_more() {
        for (n, fault) in Fault::ALL.iter().enumerate() {
            assert!(Fault::ALL.iter().skip(n + 1).all(|other| other.class() != fault.class()), "{fault:?}");
            assert!(fault.class().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{fault:?}");
            assert!(!fault.text().is_empty() && fault.text() != fault.hint(), "{fault:?}");
            assert!(!fault.text().ends_with('.') && !fault.hint().ends_with('.'), "{fault:?}");
        }
    }

    #[test]
    fn r27_the_docs_have_every_class_with_its_text_and_hint() {
        let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/messages.md")).unwrap();
        for fault in Fault::ALL {
            let text = [fault.text(), fault.hint()].join(": ");
            let row = format!("| `{}` | {} |", fault.class(), text.trim_end_matches(": "));
            assert!(docs.contains(&row), "{row}");
        }
    }
}
