//! What goes wrong, at random.

use std::time::Duration;

use memcache_engine::{ConnId, Loss, Switch};

use crate::habits::Habits;
use crate::network::Weather;
use crate::server::Mode;
use crate::session::Mishap;
use crate::world::World;

/// How bad it is.
#[derive(Debug)]
pub struct Chaos {
    /// The mean time between two faults, in microseconds.
    pub every: u64,
    /// Somebody meddles with replies.
    pub meddling: bool,
    /// As far as text can tell: there a reply carries nothing that says whose it is, but for a value's key.
    pub in_text: bool,
}

impl Chaos {
    /// Lets one thing happen.
    pub fn strike(&self, world: &mut World) {
        let id = world.rng.usize(..world.servers.len());
        let conns = world.conns(id);
        let conn = (!conns.is_empty()).then(|| conns[world.rng.usize(..conns.len())]);
        match world.rng.u8(..20) {
            0 => world.servers[id].stalled = true,
            1 | 2 => world.servers[id].stalled = false,
            3 => self.replace(world, id),
            4 => world.servers[id].mode = Mode::Memcached,
            5 => {
                world.servers[id].mode = Mode::Memcached;
                world.servers[id].change_password();
            }
            6 => world.servers[id].weather = Weather::random(&mut world.rng),
            7 => world.servers[id].weather = Weather::fair(),
            8 => world.habits = Habits::random(&mut world.rng),
            9 => {
                // The whole worker is stopped for a while.
                let pause = Duration::from_micros(world.rng.u64(..2_000_000));
                world.stop(pause);
            }
            10 => {
                let addresses = world.worker.client.server(id).map_or(0, |view| view.config.addresses);
                world.servers[id].dead_addresses = world.rng.usize(..=addresses);
            }
            11 => {
                world.servers[id].item_limit = [50, 1_000, usize::MAX][world.rng.usize(..3)];
                world.habits.sockets = [1, 3, usize::MAX, usize::MAX][world.rng.usize(..4)];
            }
            12 => {
                let (server, ledger) = (&mut world.servers[id], &mut world.ledger);
                server.evict(ledger, &mut world.rng, world.now);
            }
            13 => {
                // Somebody takes it out of use, in this worker.
                let enabled = world.rng.bool();
                assert_eq!(world.worker.client.set_enabled(id, enabled, world.now), world.lists(id));
                world.obey();
            }
            14 => {
                // The operator takes it out of use, or back, for all workers. They find out by themselves.
                let switch = Switch::ALL[world.rng.usize(..3)];
                world.set_switch(id, switch);
            }
            15 => world.look_up(id),
            _ => conn.into_iter().for_each(|conn| self.harm(world, conn)),
        }
    }

    /// Something else is behind the address now, or nothing.
    fn replace(&self, world: &mut World, id: usize) {
        const OTHERS: [&[u8]; 3] = [b"ERROR\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR unknown command\r\n"];
        let mode = match world.rng.u8(..7) {
            0 | 1 => Mode::Nobody,
            2 => Mode::Blackhole,
            3 => Mode::OverLimit,
            4 => Mode::Mute,
            5 => Mode::Fickle,
            _ => Mode::Other(OTHERS[world.rng.usize(..OTHERS.len())]),
        };
        if matches!(mode, Mode::Other(_) | Mode::Nobody) {
            let loss = if world.rng.bool() { Loss::Eof } else { Loss::Error };
            let abruptly = world.rng.bool();
            world.kill(id, loss, abruptly);
        }
        world.servers[id].mode = mode;
    }

    /// Harms one connection.
    fn harm(&self, world: &mut World, conn: ConnId) {
        let (now, rng) = (world.now, &mut world.rng);
        let Some(link) = world.worker.links.get_mut(&conn) else { return };
        match rng.u8(..12) {
            0 => link.lost = true,
            1 => link.hang_up(Loss::Error, true, now),
            2 => link.hang_up(Loss::Eof, true, now),
            3 => link.hang_up(Loss::Eof, false, now),
            4 => link.session.mishap = Some(Mishap::Refuse { early: rng.bool() }),
            5 => link.session.mishap = Some(Mishap::Cut(rng.usize(..60))),
            6 => link.session.mishap = Some(Mishap::ClientError),
            7 if self.meddling && !self.in_text => link.session.blurt(&garbage(rng)),
            _ if self.meddling && self.in_text => link.session.mishap = Some(Mishap::OtherKey),
            _ if self.meddling => {
                let garbage = garbage(rng);
                let mishaps =
                    [Mishap::Drop, Mishap::Duplicate, Mishap::Swap, Mishap::OtherKey, Mishap::Garbage(garbage)];
                link.session.mishap = Some(mishaps[rng.usize(..mishaps.len())].clone());
            }
            _ => {}
        }
    }
}

/// What no memcached would say here.
fn garbage(rng: &mut fastrand::Rng) -> Vec<u8> {
    let lines: [&[u8]; 14] = [
        b"HELLO\r\n",
        b"\r\n",
        b"\n",
        b"HD\r\n",
        b"HD O1\r\n",
        b"NS O4294967295\r\n",
        b"MN\r\n",
        b"VA 5 f0 c1 kk1 O7\r\nalpha\r\n",
        b"VA 18446744073709551616 O7\r\n",
        b"VA 9223372036854775807 O7\r\n",
        b"VA -1 O7\r\n",
        b"VALUE k1 0 1\r\nx\r\nEND\r\n",
        b"SERVER_ERROR nobody asked\r\n",
        b"EN O7\r\r\n",
    ];
    match rng.u8(..8) {
        0 => (0..rng.usize(1..100)).map(|_| rng.u8(..)).collect(),
        1 => vec![b'x'; rng.usize(8_000..9_000)],
        _ => lines[rng.usize(..lines.len())].to_vec(),
    }
}
