//! The directives, and how each reads its line.

#![forbid(unsafe_code)]

use core::time::Duration;

use memcache_engine::config::Protocol;
use memcache_engine::limits::MAX_BACKUP_TTL;
use memcache_engine::{Failover, Hash};
use memcache_status::Format;
use nginx_sys::{ngx_command_t, NGX_CONF_1MORE, NGX_CONF_BLOCK, NGX_CONF_NOARGS, NGX_CONF_TAKE1, NGX_CONF_TAKE2};

use super::argument;
use super::argument::{flag, invalid_word, number, seconds, size, time};
use super::auth;
use super::block::ServerConf;
use super::keys;
use super::level::At;
use super::named;
use super::server;
use super::ssl;
use crate::control::Control;
use crate::nginx::conf::directive::{in_all, in_http, in_location, in_server};
use crate::nginx::conf::{Conf, LineError};
use crate::status::Status;
use crate::worker::clusters::Clusters;
use crate::worker::location::LocationConf;
use crate::worker::zone;

/// The largest `memcache_pipeline`.
const MAX_PIPELINE: usize = 4096;
/// The largest `memcache_queue`.
const MAX_QUEUE: usize = 1024 * 1024;
/// The largest `memcache_max_value`, in bytes: memcached's own limit.
const MAX_VALUE: usize = 1024 * 1024 * 1024;
/// The largest `memcache_max_retained`, in bytes.
const MAX_RETAINED: usize = 1024 * 1024 * 1024 * 1024;
/// The largest `memcache_max_fails`.
const MAX_FAILS: usize = 65_535;

/// The largest `memcache_ssl_verify_depth`.
const MAX_VERIFY_DEPTH: usize = 100;

/// The directives.
pub static mut COMMANDS: [ngx_command_t; 40] = [
    in_server(c"memcache_server", NGX_CONF_1MORE, |line, conf: &mut ServerConf| server::add(line, &mut conf.settings)),
    in_server(c"memcache_hash", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        let parse = || Hash::parse(line.arg()).ok_or_else(|| invalid_word(line, &Hash::ALL.map(Hash::name)));
        once(&mut conf.settings.hash, || Ok(At { value: parse()?, position: line.position() }))
    }),
    in_server(c"memcache_failover", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        let parse =
            || Failover::parse(line.arg()).ok_or_else(|| invalid_word(line, &Failover::ALL.map(Failover::name)));
        once(&mut conf.settings.failover, parse)
    }),
    in_server(c"memcache_backup_ttl", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        conf.settings.backup_ttl_line = Some(line.position());
        once(&mut conf.settings.backup_ttl, || seconds(line, 1, MAX_BACKUP_TTL))
    }),
    in_server(c"memcache_protocol", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        let parse =
            || Protocol::parse(line.arg()).ok_or_else(|| invalid_word(line, &Protocol::ALL.map(Protocol::name)));
        once(&mut conf.settings.protocol, parse)
    }),
    in_server(c"memcache_timeout", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.timeout, || timeout(line))
    }),
    in_server(c"memcache_connect_timeout", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.connect_timeout, || timeout(line))
    }),
    in_server(c"memcache_discover_interval", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.discover_interval, || time(line))
    }),
    in_server(c"memcache_max_fails", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        let parse = || number(line, 1, MAX_FAILS).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        once(&mut conf.settings.max_fails, parse)
    }),
    in_server(c"memcache_retry", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.retry, || time(line))
    }),
    in_server(c"memcache_pipeline", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.pipeline, || number(line, 1, MAX_PIPELINE))
    }),
    in_server(c"memcache_queue", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.queue, || number(line, 0, MAX_QUEUE))
    }),
    in_server(c"memcache_coalesce", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.coalesce, || flag(line))
    }),
    in_server(c"memcache_max_value", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.max_value, || size(line, 1, MAX_VALUE))
    }),
    in_server(c"memcache_prefix", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.keys.prefix, || keys::prefix(line))
    }),
    in_server(c"memcache_hash_prefix", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.keys.hash_prefix, || Ok(At { value: flag(line)?, position: line.position() }))
    }),
    in_server(c"memcache_hash_tag", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.keys.hash_tag, || keys::hash_tag(line))
    }),
    in_server(c"memcache_long_keys", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.keys.long_keys, || keys::long_keys(line))
    }),
    in_server(c"memcache_ssl", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.on, || ssl::on(line))
    }),
    in_server(c"memcache_ssl_verify", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.verify, || flag(line))
    }),
    in_server(c"memcache_ssl_verify_depth", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.verify_depth, || number(line, 0, MAX_VERIFY_DEPTH))
    }),
    in_server(c"memcache_ssl_trusted_certificate", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.trusted, || ssl::text(line))
    }),
    in_server(c"memcache_ssl_crl", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.crl, || ssl::text(line))
    }),
    in_server(c"memcache_ssl_name", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.name, || ssl::text(line))
    }),
    in_server(c"memcache_ssl_server_name", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.server_name, || flag(line))
    }),
    in_server(c"memcache_ssl_protocols", NGX_CONF_1MORE, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.protocols, || ssl::protocols(line))
    }),
    in_server(c"memcache_ssl_ciphers", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.ciphers, || ssl::text(line))
    }),
    in_server(c"memcache_ssl_session_reuse", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.session_reuse, || flag(line))
    }),
    in_server(c"memcache_ssl_certificate", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.certificate, || Ok(At { value: ssl::text(line)?, position: line.position() }))
    }),
    in_server(c"memcache_ssl_certificate_key", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.key, || Ok(At { value: ssl::text(line)?, position: line.position() }))
    }),
    in_server(c"memcache_ssl_password_file", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.ssl.passwords, || ssl::text(line))
    }),
    in_server(c"memcache_ssl_conf_command", NGX_CONF_TAKE2, |line, conf: &mut ServerConf| {
        ssl::conf_command(line, &mut conf.settings.ssl.conf_commands)
    }),
    in_server(c"memcache_auth_file", NGX_CONF_TAKE1, |line, conf: &mut ServerConf| {
        once(&mut conf.settings.credentials, || auth::file(line))
    }),
    in_http(c"memcache_cluster", NGX_CONF_BLOCK | NGX_CONF_TAKE1, named::block),
    in_all(c"memcache_use", NGX_CONF_TAKE1, named::uses),
    in_http(c"memcache_zone", NGX_CONF_TAKE1, set_zone),
    in_http(c"memcache_max_retained", NGX_CONF_TAKE1, |line| {
        let parsed = size(line, 1, MAX_RETAINED);
        once(&mut line.main::<Clusters>().ok_or(LineError::Logged)?.max_retained, || parsed)
    }),
    in_location(c"memcache_status", NGX_CONF_NOARGS | NGX_CONF_TAKE1, set_status),
    in_location(c"memcache_control", NGX_CONF_NOARGS, set_control),
    ngx_command_t::empty(),
];

/// Sets a value that may be set once in a block.
fn once<T>(slot: &mut Option<T>, parse: impl FnOnce() -> Result<T, LineError>) -> Result<(), LineError> {
    if slot.is_some() {
        return Err(LineError::DUPLICATE);
    }
    *slot = Some(parse()?);
    Ok(())
}

/// A time that is compared with others when the block is complete.
fn timeout(line: &Conf<'_>) -> Result<At<Duration>, LineError> {
    Ok(At { value: time(line)?, position: line.position() })
}

fn set_status(line: &mut Conf<'_>, conf: &mut LocationConf) -> Result<(), LineError> {
    let format = match line.args() {
        [] => Some(Format::default()),
        _ => Format::parse(line.arg()),
    };
    let format = format.ok_or_else(|| invalid_word(line, &Format::ALL.map(Format::name)))?;
    if conf.status.replace(format).is_some() {
        return Err(LineError::DUPLICATE);
    }
    line.set_handler::<Status>()?;
    let place = line.position();
    if let Some(clusters) = line.main::<Clusters>() {
        clusters.status.get_or_insert(place);
    }
    Ok(())
}

fn set_control(line: &mut Conf<'_>, _: &mut LocationConf) -> Result<(), LineError> {
    if !line.is_in_prefix_location() {
        let text = "\"memcache_control\" must be in a location that is named by the beginning of a path";
        return Err(LineError::Text(text.into()));
    }
    line.set_handler::<Control>()?;
    let control = line.block().map(|block| (block, line.position()));
    if let Some(clusters) = line.main::<Clusters>() {
        clusters.controls.extend(control);
    }
    Ok(())
}

fn set_zone(line: &mut Conf<'_>) -> Result<(), LineError> {
    if line.main::<Clusters>().is_some_and(|clusters| clusters.zone.is_some()) {
        return Err(LineError::DUPLICATE);
    }
    let (name, size) = argument::zone(line)?;
    let zone = zone::add::<Clusters>(line, name, size)?;
    line.main::<Clusters>().ok_or(LineError::Logged)?.zone = Some(zone);
    Ok(())
}
