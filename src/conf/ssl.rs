//! `memcache_ssl` and its directives.

#![forbid(unsafe_code)]

use bytes::Bytes;

use super::argument::{flag, invalid_word_of};
use super::level::{take, At};
use crate::nginx::conf::{Conf, LineError};
use crate::nginx::ssl::{check_available, Options};
use crate::worker::effect::Effect;

/// The allowed versions, with nginx's bits.
const PROTOCOLS: [(&str, usize); 4] = [("TLSv1", 0x08), ("TLSv1.1", 0x10), ("TLSv1.2", 0x20), ("TLSv1.3", 0x40)];
/// The default versions.
const USUAL_PROTOCOLS: usize = 0x20 | 0x40;

/// The settings of one `http` or `server` block. `None`: not set there.
#[derive(Clone, Default)]
pub struct SslSettings {
    /// `memcache_ssl`.
    pub on: Option<bool>,
    /// `memcache_ssl_verify`.
    pub verify: Option<bool>,
    /// `memcache_ssl_verify_depth`.
    pub verify_depth: Option<usize>,
    /// `memcache_ssl_trusted_certificate`.
    pub trusted: Option<Bytes>,
    /// `memcache_ssl_crl`.
    pub crl: Option<Bytes>,
    /// `memcache_ssl_name`.
    pub name: Option<Bytes>,
    /// `memcache_ssl_server_name`.
    pub server_name: Option<bool>,
    /// `memcache_ssl_protocols`.
    pub protocols: Option<usize>,
    /// `memcache_ssl_ciphers`.
    pub ciphers: Option<Bytes>,
    /// `memcache_ssl_session_reuse`.
    pub session_reuse: Option<bool>,
    /// `memcache_ssl_certificate`.
    pub certificate: Option<At<Bytes>>,
    /// `memcache_ssl_certificate_key`.
    pub key: Option<At<Bytes>>,
    /// `memcache_ssl_password_file`.
    pub passwords: Option<Bytes>,
    /// `memcache_ssl_conf_command`: names and values.
    pub conf_commands: Option<Vec<(Bytes, Bytes)>>,
    /// The first directive of the block itself that says how connections are secured. It is not inherited.
    pub first: Option<At<Bytes>>,
}

impl SslSettings {
    /// Inherits the settings that are not set on this level.
    pub fn inherit(&mut self, outer: &SslSettings) {
        take(&mut self.on, &outer.on);
        take(&mut self.verify, &outer.verify);
        take(&mut self.verify_depth, &outer.verify_depth);
        take(&mut self.trusted, &outer.trusted);
        take(&mut self.crl, &outer.crl);
        take(&mut self.name, &outer.name);
        take(&mut self.server_name, &outer.server_name);
        take(&mut self.protocols, &outer.protocols);
        take(&mut self.ciphers, &outer.ciphers);
        take(&mut self.session_reuse, &outer.session_reuse);
        take(&mut self.certificate, &outer.certificate);
        take(&mut self.key, &outer.key);
        take(&mut self.passwords, &outer.passwords);
        take(&mut self.conf_commands, &outer.conf_commands);
    }

    /// Whether the lines of the block, and of the one around it, have an effect.
    pub fn effects(&self, outer: &SslSettings) -> Vec<Effect> {
        let is_on = self.on == Some(true);
        let first = [&self.first, &outer.first].into_iter().flatten().map(move |first| Effect {
            is_there: is_on,
            why: format!("\"{}\" has no effect without \"memcache_ssl on\"", first.value.escape_ascii()),
            position: first.position.clone(),
        });
        let has_certificate = self.certificate.as_ref().is_some_and(|file| !file.value.is_empty());
        let key = self.key.as_ref().filter(|file| is_on && !file.value.is_empty()).map(|key| Effect {
            is_there: has_certificate,
            why: "\"memcache_ssl_certificate_key\" has no effect without \"memcache_ssl_certificate\"".into(),
            position: key.position.clone(),
        });
        first.chain(key).collect()
    }

    /// The TLS settings of connections; `None`: no TLS. `Err`: the settings contradict each other.
    pub fn options(&self) -> Result<Option<Options>, LineError> {
        if self.on != Some(true) {
            return Ok(None);
        }
        let file = |file: &Option<Bytes>| file.clone().filter(|file| !file.is_empty());
        let certificate = self.certificate.as_ref().filter(|file| !file.value.is_empty());
        let key = self.key.as_ref().filter(|file| !file.value.is_empty());
        let certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate.value.clone(), key.value.clone())),
            (Some(certificate), None) => {
                let file = certificate.value.escape_ascii();
                let text = format!("no \"memcache_ssl_certificate_key\" is defined for certificate \"{file}\"");
                return Err(LineError::At(text, certificate.position.clone()));
            }
            (None, _) => None,
        };
        Ok(Some(Options {
            verify: self.verify.unwrap_or(true),
            verify_depth: self.verify_depth.unwrap_or(1),
            trusted: file(&self.trusted),
            crl: file(&self.crl),
            name: file(&self.name),
            server_name: self.server_name.unwrap_or(true),
            protocols: self.protocols.unwrap_or(USUAL_PROTOCOLS),
            ciphers: self.ciphers.clone().unwrap_or(Bytes::from_static(b"DEFAULT")),
            session_reuse: self.session_reuse.unwrap_or(true),
            certificate,
            passwords: file(&self.passwords),
            conf_commands: self.conf_commands.clone().unwrap_or_default(),
        }))
    }
}

/// `memcache_ssl on | off`
pub fn on(line: &Conf<'_>) -> Result<bool, LineError> {
    let on = flag(line)?;
    if on {
        check_available().map_err(|why| LineError::Text(format!("\"memcache_ssl on\" is not supported: {why}")))?;
    }
    Ok(on)
}

/// The name of a file, a host name, or OpenSSL's list of ciphers.
pub fn text(line: &Conf<'_>) -> Result<Bytes, LineError> {
    word(line, line.arg())
}

/// A word without variables.
fn word(line: &Conf<'_>, word: &[u8]) -> Result<Bytes, LineError> {
    if word.contains(&b'$') {
        let name = line.name().escape_ascii();
        return Err(LineError::Text(format!("variables are not supported in \"{name}\"")));
    }
    Ok(Bytes::copy_from_slice(word))
}

/// `memcache_ssl_conf_command name value`
pub fn conf_command(line: &Conf<'_>, commands: &mut Option<Vec<(Bytes, Bytes)>>) -> Result<(), LineError> {
    let [name, value] = line.args() else { return Err(LineError::Logged) };
    commands.get_or_insert_with(Vec::new).push((word(line, name.as_bytes())?, word(line, value.as_bytes())?));
    Ok(())
}

/// `memcache_ssl_protocols`
pub fn protocols(line: &Conf<'_>) -> Result<usize, LineError> {
    let mut protocols = 0;
    for word in line.args() {
        let known = PROTOCOLS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word.as_bytes()));
        protocols |= known.ok_or_else(|| invalid_word_of(line, word.as_bytes(), &PROTOCOLS.map(|(name, _)| name)))?.1;
    }
    Ok(protocols)
}
