//! `memcache_server address [min=] [smax=] [max=] [ttl=] [weight=] [expand];`

#![forbid(unsafe_code)]

use core::net::Ipv4Addr;
use core::str;
use std::rc::Rc;

use bytes::Bytes;
use memcache_engine::config::{ParamError, ServerConfig, ServerParams};
use memcache_engine::limits::{DEFAULT_PORT, MAX_SERVERS};
use nginx_sys::ngx_str_t;

use super::settings::Settings;
use crate::nginx::address::{Addresses, Unresolved};
use crate::nginx::conf::{Conf, LineError};

/// Adds the server of this line, or those, to the level's list.
pub fn add(line: &Conf<'_>, settings: &mut Settings) -> Result<(), LineError> {
    let (&address, params) = line.args().split_first().ok_or(LineError::Logged)?;
    check_characters(address.as_bytes())?;

    let mut parsed = ServerParams::default();
    for param in params {
        parsed.parse(param.as_bytes()).map_err(|e| LineError::Text(e.to_string()))?;
    }
    let (pool, weight) = parsed.finish().map_err(|e| match e {
        ParamError::Order { .. } => LineError::Text(format!("{e} in memcache server \"{}\"", Quoted(address))),
        _ => LineError::Text(e.to_string()),
    })?;

    let (name, addresses) = resolve(line, address)?;
    if parsed.expand() {
        if is_address(address.as_bytes()) {
            let text = format!("\"expand\" needs a name, not an address, in memcache server \"{}\"", Quoted(address));
            return Err(LineError::Text(text));
        }
        return addresses.each().into_iter().try_for_each(|(one, address)| {
            let of = format!("{}\", an address of \"{}", one.escape_ascii(), name.escape_ascii());
            push(line, settings, (ServerConfig { name: one, addresses: 1, pool, weight }, address), &of)
        });
    }
    let family = addresses.of_one_family();
    if family > 1 {
        line.warn(format_args!(
            "memcache server \"{}\" has {family} addresses, of which it is asked at one at a time; for each to be a server, \
             add \"expand\"",
            name.escape_ascii(),
        ));
    }
    let text = name.escape_ascii().to_string();
    push(line, settings, (ServerConfig { name, addresses: addresses.len(), pool, weight }, addresses), &text)
}

/// Adds a server, which messages call by this text.
fn push(
    line: &Conf<'_>,
    settings: &mut Settings,
    server: (ServerConfig, Addresses),
    text: &str,
) -> Result<(), LineError> {
    // Nothing else refers to the list while the level is read: inner levels are merged later.
    let servers = Rc::make_mut(settings.servers.get_or_insert_default());
    if servers.list.len() >= MAX_SERVERS {
        return Err(LineError::Text(format!("too many memcache servers, maximum is {MAX_SERVERS}")));
    }
    let addresses = &server.1;
    if addresses.bytes().any(|address| servers.taken.contains(address)) {
        return Err(LineError::Text(format!("duplicate memcache server \"{text}\"")));
    }
    servers.taken.extend(addresses.bytes().map(<[u8]>::to_vec));
    servers.list.push(server);
    servers.positions.push(line.position());
    Ok(())
}

/// Whether it says itself where the server is: a path, or an address with or without a port.
fn is_address(text: &[u8]) -> bool {
    let host = text.split(|&byte| byte == b':').next().unwrap_or_default();
    text.starts_with(b"unix:")
        || text.starts_with(b"[")
        || str::from_utf8(host).is_ok_and(|host| host.parse::<Ipv4Addr>().is_ok())
}

/// Refuses addresses that nginx's parser would take for a name and resolve.
fn check_characters(address: &[u8]) -> Result<(), LineError> {
    if address.contains(&b'$') {
        return Err(LineError::Text("variables are not supported in \"memcache_server\"".into()));
    }
    let is_path = address.starts_with(b"unix:");
    if address.iter().any(|&b| b.is_ascii_control() || (!is_path && matches!(b, b' ' | b'"' | b'\''))) {
        return Err(LineError::Text(format!("invalid host in memcache server \"{}\"", hex_escape(address))));
    }
    // It would be relative to the folder that nginx was started in.
    if address.strip_prefix(b"unix:").is_some_and(|path| !path.is_empty() && !path.starts_with(b"/")) {
        let address = hex_escape(address);
        return Err(LineError::Text(format!(
            "the path of the socket must begin with \"/\" in memcache server \"{address}\""
        )));
    }
    Ok(())
}

/// Control characters as `\x0a`: nginx would write them to its log as they are.
fn hex_escape(text: &[u8]) -> String {
    let escape = |&byte: &u8| match byte {
        b if b.is_ascii_control() => format!("\\x{b:02x}"),
        b => char::from(b).to_string(),
    };
    text.iter().map(escape).collect()
}

/// The server's name with its port, and the socket addresses that it stands for.
fn resolve(line: &Conf<'_>, address: ngx_str_t) -> Result<(Bytes, Addresses), LineError> {
    let of = |what: &str| LineError::Text(format!("{what} in memcache server \"{}\"", Quoted(address)));
    let (addresses, has_no_port) =
        Addresses::resolve(line, address, DEFAULT_PORT).map_err(|unresolved| match unresolved {
            Unresolved::NoMemory => LineError::Logged,
            // nginx takes what follows the first colon for the port.
            Unresolved::Invalid(text) if is_bare_ipv6(address.as_bytes()) => {
                of(&format!("{text}, an IPv6 address has to be in brackets, as \"[::1]:11211\","))
            }
            Unresolved::Invalid(text) => of(&text),
            Unresolved::NotFound => of("host not found"),
        })?;
    let mut name = address.as_bytes().to_vec();
    if has_no_port {
        name.extend_from_slice(format!(":{DEFAULT_PORT}").as_bytes());
    }
    Ok((name.into(), addresses))
}

/// Whether it has two colons or more, as only an IPv6 address has, and no brackets.
fn is_bare_ipv6(address: &[u8]) -> bool {
    let hex = |&b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.' | b'%');
    address.iter().filter(|&&b| b == b':').count() > 1 && address.iter().all(hex)
}

/// An address in a message, as it was written. `check_characters` has checked it.
struct Quoted(ngx_str_t);

impl core::fmt::Display for Quoted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match str::from_utf8(self.0.as_bytes()) {
            Ok(text) => f.write_str(text),
            Err(_) => write!(f, "{}", self.0.as_bytes().escape_ascii()),
        }
    }
}
