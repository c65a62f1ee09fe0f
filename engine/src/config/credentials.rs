//! User and password.

use std::fmt;

use bytes::Bytes;

use crate::limits::MAX_CREDENTIALS;

/// User and password for servers that require authentication: memcached with `-Y`.
///
/// They stay in the memory that they were read into: the owner of that memory keeps it out of core dumps and wipes it.
/// There are no copies. Two are equal if user and password are, whatever their editions.
#[derive(Clone)]
pub struct Credentials {
    /// `user password`
    token: Bytes,
    edition: Bytes,
}

/// Why a text is no `user:password`. It says nothing of the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// There is something behind the first line. memcached accepts several, but only one can be sent.
    #[error("it has more than one line")]
    Lines,
    /// It is longer than [`MAX_CREDENTIALS`].
    #[error("user and password are longer than {max} bytes together", max = MAX_CREDENTIALS.saturating_sub(1))]
    TooLong,
    /// There is no `:`, or nothing before or behind it.
    #[error("it must be \"user:password\"")]
    Form,
    /// It has a space or a control character that memcached takes for an end.
    #[error("user and password must have no spaces, NUL bytes and line ends")]
    Characters,
}

impl Credentials {
    /// Takes them from the text of a file as memcached's `-Y` reads it: `user:password`, and a line end or none. The text
    /// is changed in place. `edition` differs from that of earlier ones if the text does; it is no secret.
    pub fn parse<T>(mut text: T, edition: impl Into<Bytes>) -> Result<Credentials, CredentialsError>
    where
        T: AsRef<[u8]> + AsMut<[u8]> + Send + 'static,
    {
        let bytes = text.as_mut();
        let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
        let (whole, len) = (bytes.len(), line.strip_suffix(b"\r").unwrap_or(line).len());
        let has_end = line.len() < whole;
        if line.len().saturating_add(usize::from(has_end)) < whole {
            return Err(CredentialsError::Lines);
        }
        if len == 0 {
            return Err(CredentialsError::Empty);
        }
        if len > MAX_CREDENTIALS {
            return Err(CredentialsError::TooLong);
        }
        let line = bytes.get_mut(..len).unwrap_or_default();
        if line.iter().any(|byte| matches!(byte, b' ' | b'\0' | b'\r')) {
            return Err(CredentialsError::Characters);
        }
        let last = len.saturating_sub(1);
        let colon = line.iter().position(|&b| b == b':').filter(|&at| at > 0 && at < last);
        let colon = colon.and_then(|at| line.get_mut(at)).ok_or(CredentialsError::Form)?;
        *colon = b' ';
        Ok(Credentials { token: Bytes::from_owner(text).slice(..len), edition: edition.into() })
    }

    /// What the server gets: `user password`.
    pub(crate) fn token(&self) -> &Bytes {
        &self.token
    }

    /// What tells them from earlier ones, without the secret.
    pub fn edition(&self) -> &[u8] {
        &self.edition
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.token == other.token
    }
}

impl Eq for Credentials {}

/// Neither the user nor the password is shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<Credentials, CredentialsError> {
        Credentials::parse(text.to_vec(), "1")
    }

    #[test]
    fn a_line_as_memcached_reads_it() {
        for (text, token) in [
            (&b"me:secret"[..], &b"me secret"[..]),
            (b"me:secret\n", b"me secret"),
            (b"me:secret\r\n", b"me secret"),
            (b"me:secret\r", b"me secret"),
            (b"me:se:cr:et\n", b"me se:cr:et"),
            (b"m:\t\xff\n", b"m \t\xff"),
        ] {
            assert_eq!(parse(text).unwrap().token(), token);
        }
        let long = |len: usize| [&b"me:"[..], &vec![b'x'; len]].concat();
        assert_eq!(parse(&long(MAX_CREDENTIALS - 3)).unwrap().token().len(), MAX_CREDENTIALS);
        assert_eq!(parse(&[&long(MAX_CREDENTIALS - 3)[..], b"\r\n"].concat()).unwrap().token().len(), MAX_CREDENTIALS);
        assert_eq!(parse(&long(MAX_CREDENTIALS - 2)), Err(CredentialsError::TooLong));
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        use CredentialsError::{Characters, Empty, Form, Lines};
        for (text, error) in [
            ("", Empty),
            ("\r\n", Empty),
            (":", Form),
            ("me", Form),
            ("me:", Form),
            (":secret", Form),
            ("me secret", Characters),
            ("me:sec ret", Characters),
            ("m e:secret", Characters),
            ("me:sec\0ret", Characters),
            ("me:sec\rret", Characters),
            ("me:secret\r\r\n", Characters),
            ("me:secret\n\n", Lines),
            ("me:secret\nyou:too\n", Lines),
            ("\nme:secret", Lines),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(error), "{text:?}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn the_secret_is_not_shown_and_not_copied() {
        let text = b"me:secret\n".to_vec();
        let place = text.as_ptr();
        let credentials = Credentials::parse(text, "1").unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials(..)");
        assert_eq!(credentials.token().as_ptr(), place);
        assert_eq!(credentials.clone().token().as_ptr(), place);
        assert_eq!(credentials, Credentials::parse(b"me:secret".to_vec(), "2").unwrap());
        assert_ne!(credentials, parse(b"me:other").unwrap());
    }
}
