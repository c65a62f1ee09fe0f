//! The network: connections with latency, pieces of any size, full buffers, and ends of several kinds.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use fastrand::Rng;
use memcache_engine::{Instant, Loss};

use crate::server::Server;
use crate::session::Session;

/// What it is like between the worker and one server.
#[derive(Clone, Debug)]
pub struct Weather {
    /// The least time that bytes are under way, in microseconds.
    pub latency: u64,
    /// So much more it may be.
    pub jitter: u64,
    /// The least time between two pieces.
    pub gap: u64,
    /// The largest piece that arrives at once.
    pub piece: usize,
    /// Bytes that a direction of a connection holds before the sender has to wait.
    pub buffer: usize,
}

impl Weather {
    /// Calm: everything arrives soon and in one piece.
    pub fn fair() -> Self {
        Weather { latency: 100, jitter: 50, gap: 0, piece: 1 << 20, buffer: 1 << 20 }
    }

    pub fn random(rng: &mut Rng) -> Self {
        let choose = |rng: &mut Rng, of: &[usize]| of[rng.usize(..of.len())];
        Weather {
            latency: choose(rng, &[0, 50, 500, 5_000, 40_000]) as u64,
            jitter: choose(rng, &[0, 10, 1_000, 30_000]) as u64,
            gap: choose(rng, &[0, 0, 100]) as u64,
            piece: choose(rng, &[1, 3, 17, 300, 1_460, 65_536]),
            buffer: choose(rng, &[64, 600, 4_096, 32_768, 1 << 20]),
        }
    }

    pub fn delay(&self, rng: &mut Rng) -> Duration {
        Duration::from_micros(self.latency + rng.u64(0..=self.jitter))
    }
}

/// One direction of a connection: what was sent and not yet taken by the receiver.
#[derive(Debug, Default)]
pub struct Pipe {
    flying: VecDeque<(Instant, Vec<u8>)>,
    arrived: VecDeque<u8>,
    load: usize,
    last: Instant,
}

impl Pipe {
    /// Takes as many of the bytes as there is room for, and returns how many.
    pub fn send(&mut self, bytes: &[u8], weather: &Weather, now: Instant, rng: &mut Rng) -> usize {
        let accepted = bytes.len().min(self.room(weather));
        let mut rest = &bytes[..accepted];
        // A megabyte in single bytes would show nothing that the first hundred of them do not.
        let most = weather.piece.max(accepted / 100).max(1);
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(rng.usize(1..=most.min(rest.len())));
            let gap = Duration::from_micros(weather.gap);
            self.last = self.last.after(gap).max(now.after(weather.delay(rng)));
            self.flying.push_back((self.last, piece.to_vec()));
            rest = tail;
        }
        self.load += accepted;
        accepted
    }

    /// Room for bytes that are sent now: none until half of it is free, or pieces would become ever smaller.
    pub fn room(&self, weather: &Weather) -> usize {
        let room = weather.buffer.saturating_sub(self.load);
        if room < weather.buffer / 2 {
            0
        } else {
            room
        }
    }

    /// When the next piece arrives.
    pub fn next(&self) -> Option<Instant> {
        self.flying.front().map(|&(at, _)| at)
    }

    /// When the last piece that was sent has arrived.
    pub fn last(&self) -> Instant {
        self.last
    }

    pub fn deliver(&mut self, now: Instant) {
        while self.next().is_some_and(|at| at <= now) {
            self.arrived.extend(self.flying.pop_front().map(|(_, piece)| piece).unwrap_or_default());
        }
    }

    /// Bytes that can be read.
    pub fn readable(&self) -> usize {
        self.arrived.len()
    }

    /// Reads up to `most` bytes.
    pub fn read(&mut self, into: &mut BytesMut, most: usize) -> usize {
        let bytes = self.arrived.len().min(most);
        let (front, back) = self.arrived.as_slices();
        let split = bytes.min(front.len());
        into.extend_from_slice(&front[..split]);
        into.extend_from_slice(&back[..bytes - split]);
        self.arrived.drain(..bytes);
        self.load -= bytes;
        bytes
    }
}

/// How far a connect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its outcome and when that shows; `None`: never.
    Connecting(Option<(Instant, Result<(), Loss>)>),
    Open,
}

/// A connection, both its ends.
#[derive(Debug)]
pub struct Link {
    pub server: usize,
    /// The number of the server's address.
    pub address: usize,
    /// Since when the server does not have this address any more.
    pub moved: Option<Instant>,
    pub stage: Stage,
    /// From the client to the server.
    pub up: Pipe,
    /// From the server to the client.
    pub down: Pipe,
    /// The server's end.
    pub session: Session,
    /// When the client sees that it is over, and how.
    pub end: Option<(Instant, Loss)>,
    /// Something in between has forgotten it: nothing arrives any more, and nobody is told.
    pub lost: bool,
    /// The client waits until it can write.
    pub blocked: bool,
}

impl Link {
    pub fn new(server: usize, address: usize, stage: Stage) -> Self {
        Link {
            server,
            address,
            moved: None,
            stage,
            up: Pipe::default(),
            down: Pipe::default(),
            session: Session::default(),
            end: None,
            lost: false,
            blocked: false,
        }
    }

    /// When something happens next without anybody's doing; a time in the past is at once.
    pub fn next(&self, server: &Server) -> Option<Instant> {
        let weather = &server.weather;
        if let Stage::Connecting(outcome) = self.stage {
            return outcome.map(|(at, _)| at);
        }
        if self.lost {
            return None;
        }
        let gone = server.stalled || self.end.is_some();
        let served = !gone && self.session.has_output() && self.down.room(weather) > 0;
        let at_once = served || self.down.readable() > 0 || (self.blocked && self.up.room(weather) > 0);
        let end = self.end.map(|(at, _)| at);
        [self.up.next(), self.down.next(), end, at_once.then(Instant::default)].into_iter().flatten().min()
    }

    /// The server's end is gone: the client sees it when what was sent has arrived, or for `abruptly` sooner.
    pub fn hang_up(&mut self, loss: Loss, abruptly: bool, now: Instant) {
        let at = if abruptly { now } else { self.down.last().max(now) };
        if self.end.is_none() {
            self.end = Some((at, loss));
        }
    }
}
