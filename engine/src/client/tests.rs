#![allow(clippy::arithmetic_side_effects)]

//! The client against a server that the test plays itself, byte by byte.

use std::io::IoSlice;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::config::{Config, ServerConfig, ServerParams};
use crate::connection::Phase;
use crate::id::{CallId, ConnId, ServerId};
use crate::limits::MAX_TIMEOUT;
use crate::network::{Cause, Event, Loss, Output};
use crate::operation::error::Error;
use crate::operation::module::ModuleId;
use crate::operation::reply::{Answer, Item, Metadata, Outcome};
use crate::operation::request::{Request, ServerVerb, StoreMode, Ttl, Verb};
use crate::protocol::unfit::Unfit;
use crate::route::subset::Subset;
use crate::server::{ServerMemory, ServerView, Settings, WorkerMemory};
use crate::shared::State;
use crate::time::Instant;

mod address;
mod ahead;
mod alone;
mod authentication;
mod backups;
mod batches;
mod bulk;
mod deadlines;
mod discover;
mod exchanges;
mod failover;
mod greeting;
mod leases;
mod link;
mod losses;
mod members;
mod modules;
mod names;
mod order;
mod pools;
mod refusals;
mod resolve;
mod share;
mod shared_health;
mod stats;
mod subsets;
mod switch;
mod text;
mod wait;

/// A client whose driver is the test.
struct World {
    client: Client<u32>,
    now: Instant,
    /// Connections that were asked for, in order, closed ones included.
    opened: Vec<(ConnId, ServerId, usize)>,
    closed: Vec<ConnId>,
    /// Servers that are to be forgotten.
    gone: Vec<ServerId>,
    events: Vec<Event>,
}

fn config(servers: &[&[&str]]) -> Config {
    let server = |(n, params): (usize, &&[&str])| {
        let mut parsed = ServerParams::default();
        params.iter().for_each(|p| parsed.parse(p.as_bytes()).unwrap());
        let (pool, weight) = parsed.finish().unwrap();
        ServerConfig {
            name: format!("10.0.0.{n}:11211").into(),
            addresses: 1,
            pool,
            weight,
            backup: parsed.is_backup(),
        }
    };
    Config::new(servers.iter().enumerate().map(server).collect())
}

fn world(config: Config) -> World {
    let now = Instant::from_micros(1_000_000);
    let client = Client::new(config, 7, now);
    let mut world = World::of(client, now);
    world.outputs();
    world
}

fn one(params: &[&str]) -> World {
    world(config(&[params]))
}

impl World {
    fn of(client: Client<u32>, now: Instant) -> Self {
        World { client, now, opened: Vec::new(), closed: Vec::new(), gone: Vec::new(), events: Vec::new() }
    }

    /// Changes what is configured.
    fn configure(&mut self, change: impl FnOnce(&mut Config)) {
        let Client { config, servers, .. } = &mut self.client;
        change(config);
        let all = servers.iter_mut().zip(&config.servers);
        all.for_each(|(server, own)| server.configure(Settings::new(config, own)));
    }

    fn outputs(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Open { conn, server, address } => self.opened.push((conn, server, address)),
                Output::Close { conn } => self.closed.push(conn),
                Output::Gone { server } => self.gone.push(server),
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// The connection that was asked for as number `n`.
    fn conn(&self, n: usize) -> ConnId {
        self.opened[n].0
    }

    fn submit(&mut self, key: &str, verb: Verb, tag: u32) -> Result<CallId, Error> {
        let request = Request { key: key.as_bytes(), verb, timeout: None };
        let call = self.client.submit(request, tag, self.now).map_err(|rejected| rejected.error);
        self.outputs();
        call
    }

    fn get(&mut self, key: &str, tag: u32) -> CallId {
        self.submit(key, Verb::Get { touch: None }, tag).unwrap()
    }

    fn get_or_error(&mut self, key: &str, tag: u32) {
        let _ = self.submit(key, Verb::Get { touch: None }, tag);
    }

    fn set(&mut self, key: &str, value: &str, tag: u32) -> CallId {
        self.submit(key, set(value), tag).unwrap()
    }

    fn cancel(&mut self, call: CallId) -> Option<u32> {
        let context = self.client.cancel(call, self.now);
        self.outputs();
        context
    }

    /// Waits for connection number `n` to be asked for, no longer than the first pauses between connects.
    fn await_open(&mut self, n: usize) {
        let latest = self.now.after(Duration::from_millis(125));
        while self.opened.len() <= n {
            let next = self.client.next_timeout().unwrap();
            assert!(next <= latest, "connection {n} was not asked for");
            self.wait(next.since(self.now));
        }
    }

    /// Connects connection number `n` and answers its greeting.
    fn accept(&mut self, n: usize) {
        self.await_open(n);
        self.greet(n, "1.6.18");
    }

    /// The same for one that was asked for, as memcached of this version does.
    fn greet(&mut self, n: usize, version: &str) {
        let conn = self.conn(n);
        self.client.connected(conn, self.now);
        assert_eq!(self.written(n), "version\r\nmn\r\n");
        self.reply(n, &format!("VERSION {version}\r\nMN\r\n"));
        if self.client.network.connections.get(conn).is_some_and(|c| c.phase() == Phase::Greeting) {
            let tries = self.written(n);
            assert!(tries.starts_with("mg ") && tries.contains("\r\nms ") && tries.ends_with("\r\n\r\nmn\r\n"));
            self.reply(n, "EN O1\r\nHD O2\r\nMN\r\n");
        }
    }

    /// Writes what connection number `n` has to write, all of it.
    fn written(&mut self, n: usize) -> String {
        self.write(n, usize::MAX)
    }

    /// Writes at most `most` bytes.
    fn write(&mut self, n: usize, most: usize) -> String {
        let conn = self.conn(n);
        let mut all = Vec::new();
        while all.len() < most {
            let mut slices = [IoSlice::new(&[]); 16];
            let used = self.client.transmit(conn, &mut slices);
            let bytes: Vec<u8> = slices[..used].iter().flat_map(|s| s.to_vec()).collect();
            if bytes.is_empty() {
                break;
            }
            let bytes = &bytes[..bytes.len().min(most - all.len())];
            let more = self.client.written(conn, bytes.len(), self.now);
            assert_eq!(
                more,
                self.client.transmit(conn, &mut [IoSlice::new(&[]); 1]) > 0,
                "it knows whether there is more"
            );
            all.extend_from_slice(bytes);
        }
        while self.client.poll_dirty().is_some() {}
        self.outputs();
        String::from_utf8(all).unwrap()
    }

    /// The server behind connection number `n` says this.
    fn reply(&mut self, n: usize, bytes: &str) {
        let conn = self.conn(n);
        let Some(buffer) = self.client.read_buffer(conn) else { panic!("connection {n} is gone") };
        buffer.extend_from_slice(bytes.as_bytes());
        self.client.received(conn, bytes.len(), self.now);
        self.outputs();
    }

    fn lose(&mut self, n: usize, loss: Loss) {
        let conn = self.conn(n);
        self.client.closed(conn, loss, self.now);
        self.outputs();
    }

    /// Goes to the next timeout, and insists that it is this far away.
    fn time_passes(&mut self, expected: Duration) {
        let next = self.client.next_timeout().unwrap();
        assert_eq!(next.since(self.now), expected);
        self.wait(expected);
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.client.timeout(self.now);
        self.outputs();
    }

    /// What completed, by the tags of the operations.
    fn done(&mut self) -> Vec<(u32, Answer)> {
        std::iter::from_fn(|| self.client.poll_completion()).map(|c| (c.context, c.answer)).collect()
    }

    fn view(&self) -> ServerView<'_> {
        self.view_of(0)
    }

    fn view_of(&self, server: ServerId) -> ServerView<'_> {
        self.client.server(server).unwrap()
    }
}

fn set(value: &str) -> Verb {
    let value = Bytes::copy_from_slice(value.as_bytes());
    Verb::Store { mode: StoreMode::Set, value, flags: 0, ttl: Ttl::NEVER, cas: 0 }
}

fn item(value: &str, flags: u32, cas: u64) -> Answer {
    Ok(Outcome::Item(Item { value: Bytes::copy_from_slice(value.as_bytes()), flags, cas }))
}

/// The tokens of the requests, in their order: what the server has to echo.
fn tokens(requests: &str) -> Vec<u32> {
    let token = |line: &str| line.rsplit_once(" O").and_then(|(_, token)| token.parse().ok());
    requests.split("\r\n").filter_map(token).collect()
}
