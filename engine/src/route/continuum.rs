//! Points on a circle of 32 bits; a key belongs to the server of the next point.

use md5::{Digest, Md5};

use crate::config::{ServerConfig, DEFAULT_PORT};

/// Points per server and weight, in both schemes (before ketama's rounding).
const POINTS: u32 = 160;

#[derive(Debug)]
pub(crate) struct Continuum {
    /// Invariant: sorted by point.
    points: Vec<(u32, u32)>,
}

impl Continuum {
    /// nginx `hash $key consistent`, which is the ring of Cache::Memcached::Fast (`ngx_http_upstream_hash_module.c`):
    /// each point is the CRC-32 of `HOST NUL PORT` and of the point before.
    pub fn consistent(servers: &[ServerConfig]) -> Self {
        let mut points = Vec::new();
        for (index, server) in (0..).zip(servers) {
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
                points.push((previous, index));
            }
        }
        // A point that two servers share is the first one's.
        points.sort_unstable();
        points.dedup_by_key(|&mut (point, _)| point);
        Continuum { points }
    }

    /// libmemcached's weighted ketama (`MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED`, `hosts.cc`): four points from each MD5 of
    /// `HOST[:PORT]-N`, without the port if it is 11211.
    pub fn ketama(servers: &[ServerConfig]) -> Self {
        let total: u32 = servers.iter().map(|server| server.weight).fold(0, u32::saturating_add);
        let mut points = Vec::new();
        for (index, server) in (0..).zip(servers) {
            let (host, port) = host_and_port(&server.name);
            let mut name = host.strip_prefix(b"[").and_then(|h| h.strip_suffix(b"]")).unwrap_or(host).to_vec();
            if !port.is_empty() && port != DEFAULT_PORT.to_string().as_bytes() {
                name.push(b':');
                name.extend_from_slice(port);
            }
            for hash in 0..hashes(server.weight, total, servers.len()) {
                let digest = Md5::new().chain_update(&name).chain_update(format!("-{hash}")).finalize();
                points.extend(digest.chunks_exact(4).map(|bytes| (little_endian(bytes), index)));
            }
        }
        points.sort_unstable();
        Continuum { points }
    }

    /// The server of the first point at `hash` or behind it, or of the first point of all.
    pub fn find(&self, hash: u32) -> usize {
        let at = self.points.partition_point(|&(point, _)| point < hash);
        let (_, server) = self.points.get(at).or_else(|| self.points.first()).copied().unwrap_or_default();
        server as usize
    }

    /// The server of the first point at `hash` or behind it, all the way round, that is `live`.
    pub fn find_live(&self, hash: u32, live: impl Fn(usize) -> bool) -> Option<usize> {
        let at = self.points.partition_point(|&(point, _)| point < hash);
        let (before, behind) = self.points.split_at_checked(at)?;
        behind.iter().chain(before).map(|&(_, server)| server as usize).find(|&server| live(server))
    }

    #[cfg(test)]
    pub fn points(&self) -> usize {
        self.points.len()
    }
}

/// The MD5s that a server contributes, in the single precision in which libmemcached computes them.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
fn hashes(weight: u32, total: u32, servers: usize) -> u32 {
    let share = weight as f32 / total as f32;
    let hashes = share * POINTS as f32 / 4.0 * servers as f32;
    (f64::from(hashes) + 0.000_000_000_1) as f32 as u32
}

/// The point of a key in ketama.
pub(crate) fn ketama_hash(key: &[u8]) -> u32 {
    little_endian(&Md5::digest(key))
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |&four| u32::from_le_bytes(four))
}

/// As nginx takes a server's name apart: a port is what digits there are behind the last colon.
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
