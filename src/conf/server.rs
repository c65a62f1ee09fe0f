//! `memcache_server address [min=] [smax=] [max=] [ttl=] [weight=] [expand | resolve | discover] [backup];`

#![forbid(unsafe_code)]

use core::str;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use memcache_engine::config::{ParamError, ServerConfig, ServerParams};
use memcache_engine::limits::{DEFAULT_PORT, MAX_SERVERS};
use nginx_sys::ngx_str_t;

use super::settings::Settings;
use crate::driver::host::{Followed, Host};
use crate::nginx::address::{name_of, Addresses, Unresolved};
use crate::nginx::conf::{Conf, LineError};
use crate::worker::members::Source;

/// The most configuration endpoints of a cluster.
const MAX_SOURCES: usize = 8;

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

    let config = |name, addresses| ServerConfig { name, addresses, pool, weight, backup: parsed.is_backup() };
    if parsed.discover() {
        if parsed.expand() || parsed.resolve() {
            return Err(of(address, "\"discover\" cannot be combined with \"expand\" or \"resolve\""));
        }
        let (name, host) = resolve(line, address)?;
        return add_source(line, settings, config(name, 0), host.addresses);
    }
    let (name, host) = match (parsed.expand(), parsed.resolve()) {
        (true, true) => return Err(of(address, "\"expand\" and \"resolve\" cannot be combined")),
        (true, false) => {
            needs_name(line, address, "expand")?;
            let (name, host) = resolve(line, address)?;
            return host.addresses.each().into_iter().try_for_each(|(one, addresses)| {
                let text = format!("{}\", an address of \"{}", one.escape_ascii(), name.escape_ascii());
                push(line, settings, (config(one, 1), Host { addresses, followed: None }), &text)
            });
        }
        (false, true) => follow(line, address)?,
        (false, false) => resolve(line, address)?,
    };
    let family = host.addresses.of_one_family();
    if family > 1 {
        line.warn(format_args!(
            "memcache server \"{}\" has {family} addresses, of which it is asked at one at a time; for each to be a server, \
             add \"expand\"",
            name.escape_ascii(),
        ));
    }
    let text = name.escape_ascii().to_string();
    push(line, settings, (config(name, host.count()), host), &text)
}

/// Adds a configuration endpoint. A server without addresses stands for those that are not known yet.
fn add_source(
    line: &Conf<'_>,
    settings: &mut Settings,
    server: ServerConfig,
    addresses: Addresses,
) -> Result<(), LineError> {
    let servers = Rc::make_mut(settings.servers.get_or_insert_default());
    let name = server.name.escape_ascii().to_string();
    if servers.sources.len() >= MAX_SOURCES {
        return Err(LineError::Text(format!("too many configuration endpoints, maximum is {MAX_SOURCES}")));
    }
    let (at, position) = (servers.list.len(), line.position());
    servers.sources.push(Source { server: at, addresses, interval: Duration::ZERO, position });
    push(line, settings, (server, Host { addresses: Addresses::of(Vec::new()), followed: None }), &name)
}

/// Adds a server, which messages call by this text.
fn push(line: &Conf<'_>, settings: &mut Settings, server: (ServerConfig, Host), text: &str) -> Result<(), LineError> {
    // Nothing else refers to the list while the level is read: inner levels are merged later.
    let servers = Rc::make_mut(settings.servers.get_or_insert_default());
    if servers.list.len() >= MAX_SERVERS {
        return Err(LineError::Text(format!("too many memcache servers, maximum is {MAX_SERVERS}")));
    }
    let taken = identities(&server.0.name, &server.1);
    if taken.iter().any(|one| servers.taken.contains(one)) {
        return Err(LineError::Text(format!("duplicate memcache server \"{text}\"")));
    }
    servers.taken.extend(taken);
    servers.list.push(server);
    servers.positions.push(line.position());
    Ok(())
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
fn resolve(line: &Conf<'_>, address: ngx_str_t) -> Result<(Bytes, Host), LineError> {
    let resolved = Addresses::resolve(line, address, DEFAULT_PORT);
    let (addresses, has_no_port) = resolved.map_err(|unresolved| refused(address, unresolved))?;
    Ok((with_port(address, has_no_port), Host { addresses, followed: None }))
}

/// The same for a name that is followed, which need not have an address yet.
fn follow(line: &Conf<'_>, address: ngx_str_t) -> Result<(Bytes, Host), LineError> {
    let (host, port, has_no_port) = needs_name(line, address, "resolve")?;
    let addresses = match Addresses::resolve(line, address, DEFAULT_PORT) {
        Ok((addresses, _)) => addresses,
        Err(Unresolved::NoMemory) => return Err(LineError::Logged),
        Err(Unresolved::Invalid(_) | Unresolved::NotFound) => Addresses::of(Vec::new()),
    };
    let name = with_port(address, has_no_port);
    Ok((name, Host { addresses, followed: Some(Followed { name: host, port, resolver: None }) }))
}

/// The name in the line, its port, and whether that is the default one. An address is refused: `word` is about a name.
fn needs_name(line: &Conf<'_>, address: ngx_str_t, word: &str) -> Result<(Bytes, u16, bool), LineError> {
    let found = name_of(line, address, DEFAULT_PORT).map_err(|unresolved| refused(address, unresolved))?;
    found.ok_or_else(|| of(address, &format!("\"{word}\" needs a name, not an address,")))
}

/// What no other server of the list may have: its name, and its socket addresses unless these may change.
fn identities(name: &[u8], host: &Host) -> Vec<Vec<u8>> {
    let name = if name.starts_with(b"unix:") { name.to_vec() } else { name.to_ascii_lowercase() };
    let addresses = host.addresses.bytes().filter(|_| host.followed.is_none());
    addresses.map(<[u8]>::to_vec).chain([name]).collect()
}

fn with_port(address: ngx_str_t, has_no_port: bool) -> Bytes {
    let mut name = address.as_bytes().to_vec();
    if has_no_port {
        name.extend_from_slice(format!(":{DEFAULT_PORT}").as_bytes());
    }
    name.into()
}

fn of(address: ngx_str_t, what: &str) -> LineError {
    LineError::Text(format!("{what} in memcache server \"{}\"", Quoted(address)))
}

/// Why an address is refused.
fn refused(address: ngx_str_t, unresolved: Unresolved) -> LineError {
    match unresolved {
        Unresolved::NoMemory => LineError::Logged,
        // nginx takes what follows the first colon for the port.
        Unresolved::Invalid(text) if is_bare_ipv6(address.as_bytes()) => {
            of(address, &format!("{text}, an IPv6 address has to be in brackets, as \"[::1]:11211\","))
        }
        Unresolved::Invalid(text) => of(address, &text),
        Unresolved::NotFound => of(address, "host not found"),
    }
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
