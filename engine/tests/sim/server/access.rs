//! A server that requires authentication, as memcached with `-Y`.

use bytes::Buf;
use memcache_engine::Credentials;

use super::Server;
use crate::session::Session;

/// What clients have.
const TOKEN: &[u8] = b"me secret";

/// What a connection needs to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing. User and password would be an unknown command.
    Open,
    /// User and password.
    Password,
    /// The same, but the client's are not the right ones, for now.
    Refused,
}

/// The client's user and password.
pub fn credentials() -> Option<Credentials> {
    Credentials::parse(b"me:secret\n".to_vec(), "1").ok()
}

impl Server {
    /// The client's password is the right one again.
    pub fn accept(&mut self) {
        if self.access == Access::Refused {
            self.access = Access::Password;
        }
    }

    /// It is not, or it is, for new connections.
    pub fn change_password(&mut self) {
        self.access = match self.access {
            Access::Open => Access::Open,
            Access::Password => Access::Refused,
            Access::Refused => Access::Password,
        };
    }

    /// Whether the connection has to authenticate before anything else.
    pub(super) fn is_closed_to(&self, session: &Session) -> bool {
        self.access != Access::Open && !session.authenticated
    }

    /// Answers a connection that is not authenticated. True if it did anything.
    pub(super) fn authenticate(&self, session: &mut Session) -> bool {
        let Some(end) = memchr::memchr(b'\n', &session.input) else { return false };
        let line = session.input[..=end].to_vec();
        let words: Vec<&str> = std::str::from_utf8(&line).expect("text").split_ascii_whitespace().collect();
        if words[0] != "set" {
            assert_eq!(session.input.len(), line.len(), "bytes are sent behind what needs authentication");
            session.input.advance(line.len());
            session.emit(b"CLIENT_ERROR unauthenticated\r\n".to_vec());
            return true;
        }
        let size: usize = words[4].parse().expect("a length");
        let whole = line.len() + size + 2;
        if session.input.len() < whole {
            return false;
        }
        assert_eq!(session.input.len(), whole, "bytes are sent behind the authentication");
        assert_eq!(&session.input[line.len()..line.len() + size], TOKEN);
        session.input.advance(whole);
        session.authenticated = self.access == Access::Password;
        session.emit(match self.access {
            Access::Refused => b"CLIENT_ERROR authentication failure\r\n".to_vec(),
            Access::Open | Access::Password => b"STORED\r\n".to_vec(),
        });
        true
    }
}
