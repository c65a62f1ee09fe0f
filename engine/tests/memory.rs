//! F55: where there is no memory, an operation fails, and nothing else does.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::IoSlice;
use std::num::NonZeroU32;

use bytes::BytesMut;
use memcache_engine::{
    Answer, Client, Config, ConnId, Error, Instant, Lease, Outcome, Output, Request, ServerConfig, ServerParams,
    Subset, Verb,
};

/// The system's allocator, which has no blocks of this thread's limit or more.
struct Poor;

thread_local! {
    static LIMIT: Cell<usize> = const { Cell::new(usize::MAX) };
}

// SAFETY: the system's, or nothing.
unsafe impl GlobalAlloc for Poor {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LIMIT.get() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static MEMORY: Poor = Poor;

/// Runs `code` while blocks of `limit` bytes and more are not to be had.
fn without<R>(limit: usize, code: impl FnOnce() -> R) -> R {
    LIMIT.set(limit);
    let result = code();
    LIMIT.set(usize::MAX);
    result
}

const NOW: Instant = Instant::from_micros(1_000_000);
const LARGE: usize = 200_000;

/// A client with one connection that is ready.
struct World {
    client: Client<&'static str>,
    conn: ConnId,
}

impl World {
    fn new() -> Self {
        World::with(|_| {})
    }

    fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        let (pool, weight) = ServerParams::default().finish().unwrap();
        let server = ServerConfig { name: "a:1".into(), addresses: 1, pool, weight, backup: false };
        let mut config = Config::new(vec![server]);
        adjust(&mut config);
        let mut client = Client::new(config, 1, NOW);
        client.submit(get(b"first"), "first", NOW).unwrap();
        let Some(Output::Open { conn, .. }) = client.poll_output() else { panic!("no connection") };
        client.connected(conn, NOW);
        let mut world = World { client, conn };
        world.sent();
        world.receive(b"VERSION 1.6.18\r\nMN\r\n");
        world.sent();
        world.receive(b"EN O1\r\nHD O2\r\nMN\r\n");
        let token = world.tokens()[0].clone();
        world.receive(format!("EN O{token}\r\n").as_bytes());
        assert_eq!(world.done(), [("first", Ok(Outcome::Miss))]);
        world
    }

    fn sent(&mut self) -> String {
        while self.client.poll_dirty().is_some() {}
        let mut slices = [IoSlice::new(&[]); 8];
        let n = self.client.transmit(self.conn, &mut slices);
        let bytes: Vec<u8> = slices[..n].iter().flat_map(|slice| slice.to_vec()).collect();
        self.client.written(self.conn, bytes.len(), NOW);
        String::from_utf8(bytes).unwrap()
    }

    /// Of the requests that were sent just now.
    fn tokens(&mut self) -> Vec<String> {
        let sent = self.sent();
        sent.lines().filter_map(|line| Some(line.rsplit_once(" O")?.1.to_owned())).collect()
    }

    /// In pieces as they come from a socket.
    fn receive(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(4096) {
            let buffer: &mut BytesMut = self.client.read_buffer(self.conn).unwrap();
            buffer.extend_from_slice(piece);
            self.client.received(self.conn, piece.len(), NOW);
        }
    }

    fn done(&mut self) -> Vec<(&'static str, Answer)> {
        std::iter::from_fn(|| self.client.poll_completion()).map(|done| (done.context, done.answer)).collect()
    }
}

fn get(key: &[u8]) -> Request<'_> {
    Request { key, verb: Verb::Get { touch: None }, timeout: None }
}

fn value(key: &str, token: &str, flags: &str, len: usize) -> Vec<u8> {
    let mut bytes = format!("VA {len} f0 c7 k{key} O{token}{flags}\r\n").into_bytes();
    bytes.resize(bytes.len() + len, b'x');
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[test]
fn a_value_without_memory_is_skipped_and_the_next_reply_is_right() {
    let mut w = World::new();
    w.client.submit(get(b"large"), "large", NOW).unwrap();
    w.client.submit(get(b"small"), "small", NOW).unwrap();
    let tokens = w.tokens();
    let replies = [value("large", &tokens[0], "", LARGE), value("small", &tokens[1], "", 3)].concat();
    without(LARGE, || w.receive(&replies));
    let done = w.done();
    assert_eq!(done[0], ("large", Err(Error::NoMemory)));
    assert!(matches!(&done[1], ("small", Ok(Outcome::Item(item))) if &item.value[..] == b"xxx"));
    assert_eq!(w.client.server(0).unwrap().stats().errors.no_memory, 1);
    assert_eq!(w.client.server(0).unwrap().open, 1);

    w.client.submit(get(b"large"), "again", NOW).unwrap();
    let token = w.tokens()[0].clone();
    w.receive(&value("large", &token, "", LARGE));
    assert!(matches!(&w.done()[..], [("again", Ok(Outcome::Item(item)))] if item.value.len() == LARGE));
}

#[test]
fn a_lease_whose_value_had_no_memory_is_handed_back() {
    let mut w = World::new();
    let verb = Verb::Lease { vivify: NonZeroU32::new(60).unwrap(), recache: 0, wait: false };
    w.client.submit(Request { key: b"k", verb, timeout: None }, "lease", NOW).unwrap();
    let token = w.tokens()[0].clone();
    let reply = value("k", &token, " W X", LARGE);
    without(LARGE, || w.receive(&reply));
    assert_eq!(w.done(), [("lease", Err(Error::NoMemory))]);
    let sent = w.sent();
    assert!(sent.starts_with("md k I C7 "), "{sent:?}");

    let verb = Verb::Lease { vivify: NonZeroU32::new(60).unwrap(), recache: 0, wait: false };
    let mut w = World::new();
    w.client.submit(Request { key: b"k", verb, timeout: None }, "lease", NOW).unwrap();
    let token = w.tokens()[0].clone();
    w.receive(&value("k", &token, " W X", LARGE));
    assert!(matches!(&w.done()[..], [("lease", Ok(Outcome::Lease(Lease::Won { stale: true, .. })))]));
    assert_eq!(w.sent(), "", "who was told keeps it");
}

#[test]
fn f55_what_grows_with_the_number_of_operations_is_refused_without_memory() {
    let mut w = World::new();
    let mut accepted = 0;
    let error = loop {
        match without(16 * 1024, || w.client.submit(get(b"k"), "many", NOW)) {
            Ok(_) => accepted += 1,
            Err(rejected) => break rejected.error,
        }
    };
    assert_eq!(error, Error::NoMemory);
    assert!((16..1000).contains(&accepted), "{accepted}");
    assert_eq!(w.client.pending(), accepted);
    w.client.submit(get(b"k"), "one more", NOW).unwrap();
    let mut answered = 0;
    while answered <= accepted {
        let replies: String = w.tokens().iter().map(|token| format!("EN O{token}\r\n")).collect();
        w.receive(replies.as_bytes());
        answered += w.done().iter().filter(|(_, answer)| *answer == Ok(Outcome::Miss)).count();
    }
    assert_eq!(w.client.pending(), 0);
}

/// Also those that consist of others: here of none, so that they wait to be handed out.
#[test]
fn gets_of_many_are_refused_without_memory() {
    let mut w = World::new();
    let mut accepted = 0;
    let error = loop {
        match without(16 * 1024, || w.client.submit_many(Subset::ALL, [], None, None, "many", NOW)) {
            Ok(_) => accepted += 1,
            Err(rejected) => break rejected.error,
        }
    };
    assert_eq!(error, Error::NoMemory);
    assert!((16..1000).contains(&accepted), "{accepted}");
    assert_eq!(w.done().len(), accepted);
    assert_eq!(w.client.pending(), 0);
}

/// A map with room for 56 has its next block of more than 4 KiB, when all others still have room.
#[test]
fn gets_that_others_may_share_are_refused_without_memory() {
    let mut w = World::with(|config| config.coalesce = true);
    for n in 0..56 {
        w.client.submit(get(format!("k{n}").as_bytes()), "many", NOW).unwrap();
    }
    let refused = without(4096, || w.client.submit(get(b"more"), "more", NOW).map_err(|rejected| rejected.error));
    assert_eq!(refused, Err(Error::NoMemory));
    assert_eq!(w.client.pending(), 56);
    w.client.submit(get(b"more"), "more", NOW).unwrap();
}

/// As above, with room for 28.
#[test]
fn a_lease_that_cannot_wait_without_memory_is_lost() {
    let mut w = World::new();
    let verb = Verb::Lease { vivify: NonZeroU32::new(60).unwrap(), recache: 0, wait: true };
    let ask = |w: &mut World, n: usize, limit| {
        let key = format!("k{n}");
        w.client.submit(Request { key: key.as_bytes(), verb: verb.clone(), timeout: None }, "lease", NOW).unwrap();
        let token = w.tokens()[0].clone();
        let reply = value(&key, &token, " Z", 0);
        without(limit, || w.receive(&reply));
        w.done()
    };
    for n in 0..28 {
        assert_eq!(ask(&mut w, n, usize::MAX), []);
    }
    assert_eq!(ask(&mut w, 28, 4096), [("lease", Ok(Outcome::Lease(Lease::Lost { cas: 7, old: None })))]);
    assert_eq!(ask(&mut w, 29, usize::MAX), []);
}
