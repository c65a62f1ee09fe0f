//! `leases [N]`: what each call takes in which N lease gets of one key wait, or end, together. Without I/O.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::arithmetic_side_effects)]

use std::io::IoSlice;
use std::num::NonZeroU32;
use std::time::{Duration, Instant as Clock};

use memcache_engine::{CallId, Client, Config, ConnId, Instant, Output, Request, ServerConfig, ServerParams, Verb};

const KEY: &[u8] = b"fragment:0123456789";

struct World {
    client: Client<u32>,
    conn: ConnId,
    now: Instant,
}

impl World {
    fn new(most: usize) -> Self {
        let (pool, weight) = ServerParams::default().finish().expect("the defaults");
        let server = ServerConfig { name: "127.0.0.1:11211".into(), addresses: 1, pool, weight, backup: false };
        let mut config = Config::new(vec![server]);
        (config.queue, config.pipeline) = (most, most);
        let now = Instant::from_micros(1);
        let mut client = Client::new(config, 1, now);
        client.submit(Request { key: KEY, verb: Verb::Inspect, timeout: None }, 0, now).expect("an operation");
        let Some(Output::Open { conn, .. }) = client.poll_output() else { panic!("a connection") };
        client.connected(conn, now);
        let mut world = World { client, conn, now };
        for answers in ["VERSION 1.6.18\r\nMN\r\n", "EN O1\r\nHD O2\r\nMN\r\n"] {
            world.written();
            world.client.read_buffer(conn).expect("a connection").extend_from_slice(answers.as_bytes());
            world.client.received(conn, answers.len(), now);
        }
        world.answer("EN O#\r\n");
        world.client.poll_completion().expect("an answer");
        world
    }

    fn leases(&mut self, most: usize) -> Vec<CallId> {
        let verb = Verb::Lease { vivify: NonZeroU32::new(30).expect("30"), recache: 0, wait: true };
        let lease = |n| (Request { key: KEY, verb: verb.clone(), timeout: None }, n);
        let leases = (0..most as u32).map(lease).map(|(request, n)| self.client.submit(request, n, self.now));
        leases.collect::<Result<_, _>>().expect("room for them")
    }

    fn written(&mut self) -> String {
        let mut all = Vec::new();
        loop {
            let mut slices = [IoSlice::new(&[]); 16];
            let used = self.client.transmit(self.conn, &mut slices);
            let bytes: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
            if bytes.is_empty() {
                break;
            }
            self.client.written(self.conn, bytes.len(), self.now);
            all.extend(bytes);
        }
        while self.client.poll_dirty().is_some() {}
        String::from_utf8(all).expect("text")
    }

    /// Reads as the driver does: what the buffer has room for, with each call.
    fn reply(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        let (mut calls, mut longest) = (0, Duration::ZERO);
        while !rest.is_empty() {
            let buffer = self.client.read_buffer(self.conn).expect("a connection");
            let (read, left) = rest.split_at((buffer.capacity() - buffer.len()).min(rest.len()));
            buffer.extend_from_slice(read);
            let start = Clock::now();
            self.client.received(self.conn, read.len(), self.now);
            (rest, calls, longest) = (left, calls + 1, longest.max(start.elapsed()));
        }
        println!("{:>12}: {:8.1} ms, the longest of {calls}", "received", longest.as_secs_f64() * 1e3);
    }

    /// Answers all that is asked, in one call; `#` stands for the token.
    fn answer(&mut self, line: &str) {
        let requests = self.written();
        let tokens = requests.split("\r\n").filter_map(|request| request.rsplit_once(" O"));
        let replies: String = tokens.map(|(_, token)| line.replace('#', token)).collect();
        self.reply(&replies);
    }

    fn pass(&mut self, time_passed: Duration) {
        self.now = self.now.after(time_passed);
        let now = self.now;
        time("timeout", || self.client.timeout(now));
    }
}

fn time<R>(what: &str, call: impl FnOnce() -> R) -> R {
    let start = Clock::now();
    let answer = call();
    let millis = start.elapsed().as_secs_f64() * 1e3;
    if millis > 0.5 {
        println!("{what:>12}: {millis:8.1} ms");
    }
    answer
}

fn main() {
    let most = std::env::args().nth(1).map_or(50_000, |arg| arg.parse().expect("a number"));
    let vacant = "VA 0 f0 c5 kfragment:0123456789 O# Z\r\n\r\n";
    let hit = "VA 3 f7 c6 kfragment:0123456789 O#\r\nmoo\r\n";
    for end in ["an item", "a deadline", "being cancelled, the last one first"] {
        println!("{most} lease gets wait for {end}");
        let mut world = World::new(most);
        let calls = world.leases(most);
        world.answer(vacant);
        match end {
            "an item" => {
                world.pass(Duration::from_millis(25));
                world.answer(hit);
            }
            "a deadline" => world.pass(Duration::from_secs(1)),
            _ => time("cancel, all", || {
                let now = world.now;
                calls.iter().rev().for_each(|&call| assert!(world.client.cancel(call, now).is_some()));
            }),
        }
        while world.client.poll_completion().is_some() {}
        assert_eq!(world.client.pending(), 0);
    }
}
