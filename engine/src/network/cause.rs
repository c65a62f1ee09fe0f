//! Causes of a connection's end.

use std::time::Duration;

use crate::protocol::unfit::Unfit;
use crate::stats::Fault;

/// How the driver lost a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The connect was refused: no server listens there.
    Refused,
    /// The socket's path does not exist.
    NoSocket,
    /// The system denies the connect.
    Denied,
    /// There is no route to the host.
    Unreachable,
    /// The connect failed in another way.
    Connect,
    /// This host has no descriptor, port or memory for a socket: no fault of the server.
    NoResources,
    /// The server closed it.
    Eof,
    /// It was reset, or failed in another way.
    Error,
    /// The driver has to close it.
    Closing,
    /// The server's first bytes are no TLS.
    NotTls,
    /// They are what memcached says in plain text, with TLS too, if it has too many connections.
    Full,
    /// The TLS handshake failed; or the server refused it later, by an alert: one of TLS 1.3 checks the client's
    /// certificate after the client's handshake is over.
    Handshake,
    /// The server's certificate has expired.
    Expired,
    /// The server's certificate is for another name.
    WrongName,
    /// The server's certificate is not trusted for another reason.
    Untrusted,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The driver lost the connection.
    Lost(Loss),
    /// The connect took longer than this.
    ConnectTimeout(Duration),
    /// The TLS handshake took longer than this.
    TlsTimeout(Duration),
    /// The greeting was not answered in this time.
    Unanswered(Duration),
    /// The same, after the server had given its version.
    Stalled(Duration),
    /// The server closed the connection before it answered the greeting.
    HungUp,
    /// The same, after the server had given its version.
    CutOff,
    /// It refused the TLS handshake, after that was over here.
    TlsRefused,
    /// The server's name has no address, as far as its resolver can tell.
    Unresolved,
    /// The answers to the greeting show that the server cannot be used.
    Unfit(Unfit),
    /// An invalid or unexpected reply. It is not shown: once replies and requests are out of step, any of its bytes may
    /// be part of a user's value.
    Protocol,
    /// The same, as the reply to a request with an encoded key. The server may have misread the bytes of the key, which
    /// a visitor may choose. The connection ends, but this does not count as a failure of the server.
    EncodedKey,
    /// The server refused a request, and the start of the next reply is unclear.
    Refused,
    /// A reply is late by more than a deadline.
    Overdue,
    /// As many operations in a row timed out as the configuration allows.
    Timeouts,
}

/// The beginning of a TLS server's reply to a client without TLS: an alert of any version from 3.0 on.
const TLS_ALERT: &[u8] = b"\x15\x03";

impl From<&Cause> for Fault {
    fn from(cause: &Cause) -> Self {
        match cause {
            Cause::Lost(Loss::Refused) => Fault::Refused,
            Cause::Lost(Loss::NoSocket) => Fault::NoSocket,
            Cause::Lost(Loss::Denied) => Fault::Denied,
            Cause::Lost(Loss::Unreachable) => Fault::Unreachable,
            Cause::Lost(Loss::Connect) => Fault::Connect,
            Cause::Lost(Loss::NoResources) => Fault::NoResources,
            Cause::Lost(Loss::Eof) => Fault::Eof,
            Cause::Lost(Loss::Error) => Fault::Lost,
            Cause::Lost(Loss::Closing) => Fault::Closing,
            Cause::Lost(Loss::NotTls) => Fault::NotTls,
            Cause::Lost(Loss::Full) => Fault::Full,
            Cause::Lost(Loss::Handshake) => Fault::TlsFailed,
            Cause::Lost(Loss::Expired) => Fault::Expired,
            Cause::Lost(Loss::WrongName) => Fault::WrongName,
            Cause::Lost(Loss::Untrusted) => Fault::Untrusted,
            Cause::ConnectTimeout(_) => Fault::ConnectTimeout,
            Cause::TlsTimeout(_) => Fault::TlsTimeout,
            Cause::Unanswered(_) => Fault::Unanswered,
            Cause::Stalled(_) => Fault::Stalled,
            Cause::HungUp => Fault::HungUp,
            Cause::CutOff => Fault::CutOff,
            Cause::TlsRefused => Fault::TlsFailed,
            Cause::Unresolved => Fault::Unresolved,
            Cause::Unfit(unfit) => match unfit {
                Unfit::Foreign(bytes) if bytes.starts_with(TLS_ALERT) => Fault::Tls,
                Unfit::Foreign(_) => Fault::Handshake,
                Unfit::TooOld(_) => Fault::TooOld,
                Unfit::TooManyConnections => Fault::Full,
                Unfit::Unauthenticated => Fault::Unauthenticated,
                Unfit::BadCredentials => Fault::BadCredentials,
                Unfit::Authentication => Fault::Authentication,
                Unfit::Dialect { .. } => Fault::Dialect,
            },
            Cause::Protocol => Fault::Protocol,
            Cause::EncodedKey => Fault::EncodedKey,
            Cause::Refused => Fault::Rejected,
            Cause::Overdue => Fault::Overdue,
            Cause::Timeouts => Fault::Timeouts,
        }
    }
}

impl Cause {
    pub(super) fn text(&self) -> String {
        let fault = Fault::from(self);
        match *self {
            Cause::ConnectTimeout(time) | Cause::TlsTimeout(time) | Cause::Unanswered(time) | Cause::Stalled(time) => {
                fault.text_with(time)
            }
            _ => fault.text().into(),
        }
    }

    /// The same for a server that is known to work, which rules out some explanations.
    pub(crate) fn of_known(self) -> Self {
        match self {
            Cause::Unanswered(time) => Cause::Stalled(time),
            Cause::HungUp => Cause::CutOff,
            cause => cause,
        }
    }

    /// What was seen, and the likely reasons.
    pub(super) fn reason(&self) -> String {
        match Fault::from(self).hint() {
            "" => self.text(),
            hint => format!("{} ({hint})", self.text()),
        }
    }

    /// Whether the client logs a failed connect with this cause. The driver has logged the others, with the system's
    /// error.
    pub(crate) fn is_news(&self) -> bool {
        use Cause::{ConnectTimeout, CutOff, HungUp, Stalled, TlsRefused, TlsTimeout, Unanswered, Unfit};
        let is_late = matches!(self, ConnectTimeout(_) | TlsTimeout(_) | Unanswered(_) | Stalled(_));
        is_late || matches!(self, HungUp | CutOff | TlsRefused | Unfit(_))
    }
}

impl Loss {
    /// Whether other connects would fail in the same way.
    pub(crate) fn is_final(self) -> bool {
        use Loss::{Connect, Denied, Expired, NoSocket, NotTls, Refused, Unreachable, Untrusted, WrongName};
        matches!(self, Refused | NoSocket | Denied | Unreachable | Connect | NotTls | Expired | WrongName | Untrusted)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn r27_an_alert_of_tls_is_known() {
        let foreign = |bytes: &'static [u8]| Fault::from(&Cause::Unfit(Unfit::Foreign(Bytes::from_static(bytes))));
        assert_eq!(foreign(b"\x15\x03\x01\0\x02\x02\x46"), Fault::Tls);
        assert_eq!(foreign(b"\x15\x03"), Fault::Tls);
        assert_eq!(foreign(b"\x15"), Fault::Handshake);
        assert_eq!(foreign(b"SSH-2.0-x"), Fault::Handshake);
        assert_eq!(foreign(b""), Fault::Handshake);
    }
}
