//! Why a server cannot be used.

use bytes::Bytes;

use crate::protocol::version::Version;

/// What memcached says to a connection too many, at once and in plain text.
pub const TOO_MANY_CONNECTIONS: &[u8] = b"ERROR Too many open connections";
/// The most bytes of a wrong answer that are quoted.
const QUOTED: usize = 32;

/// Why a server cannot be used, from its answer to the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is memcached, but older than [`Version::OLDEST`].
    TooOld(Version),
    /// All connections that it allows are in use.
    TooManyConnections,
    /// It requires authentication, and it is not clear that it is the server itself that says so, or nothing is
    /// configured.
    Unauthenticated,
    /// It refused the configured user and password.
    BadCredentials,
    /// It answered the authentication in a way that memcached does not, or closed the connection. The answer is not
    /// kept: it may have the password in it.
    Authentication,
    /// It answers `version`, but not all commands that are needed.
    Dialect {
        /// The command with a wrong answer.
        tried: &'static str,
        /// The first bytes of that answer; empty after an authentication.
        answer: Bytes,
    },
    /// It does not answer `version`: it is another service. These are its first bytes.
    Foreign(Bytes),
}

impl Unfit {
    /// Another service, with these first bytes.
    pub(crate) fn foreign(input: &[u8]) -> Self {
        Unfit::Foreign(quoted(input))
    }
}

/// The first bytes of a wrong answer.
pub(super) fn quoted(input: &[u8]) -> Bytes {
    Bytes::copy_from_slice(input.get(..input.len().min(QUOTED)).unwrap_or_default())
}
