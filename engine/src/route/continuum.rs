//! Points on a circle of 32 bits; a key belongs to the server of the next point.

use md5::{Digest, Md5};

use crate::config::ServerConfig;
use crate::limits::{DEFAULT_PORT, MAX_RING_WEIGHT, MAX_SERVERS};

/// Points per server and weight, in both schemes (before ketama's rounding).
const POINTS: u32 = 160;

/// Points and servers are in separate lists: the list that is searched is smaller, so more of it stays in the cache.
#[derive(Debug)]
pub(crate) struct Continuum {
    /// Invariant: strictly increasing.
    points: Box<[u32]>,
    /// The server of each point.
    servers: Box<[u16]>,
}

const _: () = assert!(MAX_SERVERS <= u16::MAX as usize, "a server has to fit into 16 bits");

impl Continuum {
    /// nginx `hash $key consistent`, which is the ring of Cache::Memcached::Fast (`ngx_http_upstream_hash_module.c`):
    /// each point is the CRC-32 of `HOST NUL PORT` and of the point before.
    pub fn consistent(servers: &[ServerConfig]) -> Self {
        let mut points = Points::for_weight(total(servers));
        for (index, server) in (0..=u16::MAX).zip(servers) {
            let (host, port) = host_and_port(&server.name);
            let mut base = crc32fast::Hasher::new();
            base.update(host);
            base.update(b"\0");
            base.update(port);
            let mut previous = 0u32;
            for _ in 0..server.weight.saturating_mul(POINTS) {
                let mut hasher = base.clone();
                hasher.update(&previous.to_le_bytes());
                previous = hasher.finalize();
                points.add(previous, index);
            }
        }
        points.finish()
    }

    /// libmemcached's weighted ketama (`MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED`, `hosts.cc`): four points from each MD5 of
    /// the server's name and a number.
    pub fn ketama(servers: &[ServerConfig]) -> Self {
        let total = total(servers);
        let mut points = Points::for_weight(u32::try_from(servers.len()).unwrap_or(u32::MAX));
        for (index, server) in (0..=u16::MAX).zip(servers) {
            let base = Md5::new_with_prefix(ketama_name(&server.name));
            for number in 0..hashes(server.weight, total, servers.len()) {
                let digest = base.clone().chain_update(itoa::Buffer::new().format(number)).finalize();
                for bytes in digest.chunks_exact(4) {
                    points.add(little_endian(bytes), index);
                }
            }
        }
        points.finish()
    }

    /// The server of the first point at `hash` or behind it, or of the first point of all.
    pub fn find(&self, hash: u32) -> usize {
        let at = self.points.partition_point(|&point| point < hash);
        self.servers.get(at).or_else(|| self.servers.first()).copied().unwrap_or_default().into()
    }

    /// The first point at `hash` or behind it, or the first of all.
    pub fn point(&self, hash: u32) -> Option<u32> {
        let at = self.points.partition_point(|&point| point < hash);
        self.points.get(at).or_else(|| self.points.first()).copied()
    }

    /// The server of the first point at `hash` or behind it, all the way round, that is `live`.
    pub fn find_live(&self, hash: u32, live: impl Fn(usize) -> bool) -> Option<usize> {
        let at = self.points.partition_point(|&point| point < hash);
        let (before, behind) = self.servers.split_at_checked(at)?;
        behind.iter().chain(before).map(|&server| server.into()).find(|&server| live(server))
    }

    #[cfg(test)]
    pub fn points(&self) -> usize {
        self.points.len()
    }
}

/// A ring that is being built: each entry has a point in its upper bits and a server in its lower bits. After sorting, a point
/// of two servers belongs to the first one.
struct Points(Vec<u64>);

impl Points {
    /// With room for the points of this weight, which is bounded by [`Config::check_weights`].
    ///
    /// [`Config::check_weights`]: crate::Config::check_weights
    fn for_weight(weight: u32) -> Self {
        Points(Vec::with_capacity(weight.min(MAX_RING_WEIGHT).saturating_mul(POINTS) as usize))
    }

    fn add(&mut self, point: u32, server: u16) {
        self.0.push(u64::from(point) << 32 | u64::from(server));
    }

    #[allow(clippy::cast_possible_truncation)]
    fn finish(mut self) -> Continuum {
        let point = |packed: &u64| (packed >> 32) as u32;
        self.0.sort_unstable();
        self.0.dedup_by_key(|packed| point(packed));
        Continuum {
            points: self.0.iter().map(point).collect(),
            servers: self.0.iter().map(|&packed| packed as u16).collect(),
        }
    }
}

/// The text that libmemcached hashes for a server, with the `-` before the number: `HOST:PORT`, but `HOST` alone if the port is
/// 11211, an IPv6 address without its brackets, and the path of a socket.
///
/// A socket is hashed as in PHP, which calls `memcached_server_add`. For `memcached_server_add_unix_socket` it has
/// the port 0, and other points.
fn ketama_name(name: &[u8]) -> Vec<u8> {
    let (host, port) = host_and_port(name);
    let host = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host);
    if port.is_empty() || port == DEFAULT_PORT.to_string().as_bytes() {
        return [host, b"-"].concat();
    }
    [host, b":", port, b"-"].concat()
}

fn total(servers: &[ServerConfig]) -> u32 {
    servers.iter().map(|server| server.weight).fold(0, u32::saturating_add)
}

/// The MD5s that a server contributes, in the single precision in which libmemcached computes them.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
fn hashes(weight: u32, total: u32, servers: usize) -> u32 {
    let share = weight as f32 / total as f32;
    (share * POINTS as f32 / 4.0 * servers as f32) as u32
}

/// The point of a key in ketama.
pub(crate) fn ketama_hash(key: &[u8]) -> u32 {
    little_endian(&Md5::digest(key))
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |&four| u32::from_le_bytes(four))
}

/// Splits a server's name as nginx does: digits after the last colon are a port.
fn host_and_port(name: &[u8]) -> (&[u8], &[u8]) {
    if let Some((_, path)) = name.split_at_checked(5).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"unix:")) {
        return (path, &[]);
    }
    let digits = name.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    match name.split_at_checked(name.len().saturating_sub(digits)) {
        Some((host, port)) => match host.strip_suffix(b":") {
            Some(host) => (host, port),
            None => (name, &[]),
        },
        None => (name, &[]),
    }
}
