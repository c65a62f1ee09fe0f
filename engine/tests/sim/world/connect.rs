//! Connects.

use memcache_engine::{ConnId, Instant, Loss, CONNECT_BURST, CONNECT_RATE};

use super::{Worker, World};
use crate::network::{Link, Stage};
use crate::server::Mode;

/// A connect, in what it takes from a [`Worker::pace`].
const CONNECT: u64 = 1_000_000;

impl Worker {
    /// There are so many servers, in the list or not.
    pub fn know(&mut self, servers: usize, now: Instant) {
        self.opened.resize(servers, 0);
        self.pace.resize(servers, (u64::MAX / 2, now));
    }
}

impl World {
    pub(super) fn open(&mut self, conn: ConnId, id: usize, address: usize) {
        let config = self.worker.client.server(id).expect("a server in the list").config;
        assert!(address < config.addresses);
        let open = self.worker.links.values().filter(|link| link.server == id).count();
        let most = config.pool.max() as usize + usize::from(config.addresses > 1);
        assert!(open < most, "more connections than `max`");
        self.worker.opened[id] += 1;
        let (may, since) = &mut self.worker.pace[id];
        let more = self.now.since(*since).as_micros() as u64 * u64::from(CONNECT_RATE);
        *may = may.saturating_add(more).min(u64::from(CONNECT_BURST + 1) * CONNECT);
        *since = self.now;
        *may = may.checked_sub(CONNECT).unwrap_or_else(|| panic!("a storm of connects to server {id}"));
        let server = &self.servers[id];
        let at = self.now.after(server.weather.delay(&mut self.rng));
        let at_once = match server.mode {
            _ if self.worker.links.len() >= self.habits.sockets => Some(Loss::NoResources),
            _ if address < server.dead_addresses => None,
            // As with a Unix socket, it may be known at once.
            Mode::Nobody if self.rng.bool() => Some(Loss::Refused),
            _ => None,
        };
        if let Some(loss) = at_once {
            self.worker.stillborn.insert(conn);
            return self.worker.client.closed(conn, loss, self.now);
        }
        let outcome = match server.mode {
            _ if address < server.dead_addresses => Some((at, Err(Loss::Connect))),
            Mode::Nobody => Some((at, Err(Loss::Refused))),
            Mode::Blackhole => None,
            _ => Some((at, Ok(()))),
        };
        self.worker.links.insert(conn, Link::new(id, address, Stage::Connecting(outcome)));
    }
}
