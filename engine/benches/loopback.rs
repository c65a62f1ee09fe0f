//! A client and a server in one place, with nothing in between: what the client costs is all there is to measure.
//!
//! Each step that is the client's is a function that is not inlined, so that it can be told from the server's.

use std::io::IoSlice;

use memcache_engine::{Client, Config, ConnId, Instant, Output, Request, ServerConfig, ServerParams, Verb};

/// What every request of a round does.
#[derive(Clone)]
pub struct Work {
    pub verb: Verb,
    /// The server's answer, with `#` for the token; in front of a value, if there is one.
    pub line: &'static str,
    /// The value that the server answers with.
    pub value: Option<Vec<u8>>,
}

pub struct Loopback {
    client: Client<u32>,
    conn: ConnId,
    now: Instant,
    /// What the client has sent and the server has not read.
    up: Vec<u8>,
    /// What the server has sent and the client has not read.
    down: Vec<u8>,
}

const KEY: &[u8] = b"session:0123456789abcdef";

impl Loopback {
    pub fn new() -> Self {
        let (pool, weight) = ServerParams::default().finish().expect("the defaults");
        let server = ServerConfig { name: "127.0.0.1:11211".into(), addresses: 1, pool, weight, backup: false };
        let mut config = Config::new(vec![server]);
        config.pipeline = 1024;
        let now = Instant::from_micros(1);
        let mut client = Client::new(config, 1, now);
        let get = Request { key: KEY, verb: Verb::Get { touch: None }, timeout: None };
        client.submit(get, 0, now).expect("a get");
        let Some(Output::Open { conn, .. }) = client.poll_output() else { panic!("a connection") };
        client.connected(conn, now);
        let mut loopback = Loopback { client, conn, now, up: Vec::new(), down: Vec::new() };
        for answers in [&b"VERSION 1.6.18\r\nMN\r\n"[..], b"EN O1\r\nHD O2\r\nMN\r\n"] {
            loopback.transmit();
            loopback.down.extend(answers);
            loopback.up.clear();
            loopback.receive();
        }
        let miss = Work { verb: Verb::Get { touch: None }, line: "EN O#", value: None };
        loopback.transmit();
        loopback.serve(&miss);
        loopback.receive();
        assert_eq!(loopback.complete(), 1);
        loopback
    }

    /// `batch` operations in one turn of an event loop, or one for each large value: all are submitted, sent, answered,
    /// and completed.
    pub fn round(&mut self, batch: u32, work: &Work) {
        self.submit(batch, work);
        let mut done = 0;
        // Of large values, the next one is asked for when one has come.
        while done < batch {
            self.transmit();
            self.serve(work);
            self.receive();
            let more = self.complete();
            assert!(more > 0, "{done} of {batch} were answered");
            done += more;
        }
    }

    #[inline(never)]
    pub fn submit(&mut self, batch: u32, work: &Work) {
        // Time goes on, as it does where timers matter.
        self.now = self.now.after(std::time::Duration::from_micros(100));
        for n in 0..batch {
            let request = Request { key: KEY, verb: work.verb.clone(), timeout: None };
            self.client.submit(request, n, self.now).expect("room");
        }
    }

    #[inline(never)]
    pub fn transmit(&mut self) {
        while let Some(conn) = self.client.poll_dirty() {
            loop {
                let mut slices = [IoSlice::new(&[]); 32];
                let used = self.client.transmit(conn, &mut slices);
                let mut written = 0;
                for slice in slices.iter().take(used) {
                    self.up.extend_from_slice(slice);
                    written += slice.len();
                }
                if written == 0 {
                    break;
                }
                self.client.written(conn, written, self.now);
            }
        }
    }

    /// The server: answers every request alike.
    pub fn serve(&mut self, work: &Work) {
        let (before, after) = work.line.split_once('#').unwrap_or((work.line, ""));
        let mut lines = self.up.split(|&b| b == b'\n');
        while let Some(line) = lines.next() {
            let Some(at) = line.windows(2).rposition(|w| w == b" O") else { continue };
            self.down.extend_from_slice(before.as_bytes());
            self.down.extend_from_slice(&line[at + 2..line.len() - 1]);
            self.down.extend_from_slice(after.as_bytes());
            self.down.extend_from_slice(b"\r\n");
            if let Some(value) = &work.value {
                self.down.extend_from_slice(value);
                self.down.extend_from_slice(b"\r\n");
            }
            if line.starts_with(b"ms") {
                lines.next();
            }
        }
        self.up.clear();
    }

    #[inline(never)]
    pub fn receive(&mut self) {
        let mut from = 0;
        while from < self.down.len() {
            let buffer = self.client.read_buffer(self.conn).expect("a connection");
            let n = (buffer.capacity() - buffer.len()).min(self.down.len() - from);
            buffer.extend_from_slice(&self.down[from..from + n]);
            from += n;
            self.client.received(self.conn, n, self.now);
        }
        self.down.clear();
    }

    #[inline(never)]
    pub fn complete(&mut self) -> u32 {
        let mut done = 0;
        while let Some(completion) = self.client.poll_completion() {
            assert!(completion.answer.is_ok());
            done += 1;
        }
        self.client.next_timeout();
        done
    }
}

/// A get that finds this many bytes.
pub fn hit(len: usize) -> Work {
    let line: &'static str = match len {
        100 => "VA 100 f0 c1234567 ksession:0123456789abcdef O#",
        4_096 => "VA 4096 f0 c1234567 ksession:0123456789abcdef O#",
        102_400 => "VA 102400 f0 c1234567 ksession:0123456789abcdef O#",
        _ => panic!("no such value"),
    };
    Work { verb: Verb::Get { touch: None }, line, value: Some(vec![b'v'; len]) }
}

pub fn miss() -> Work {
    Work { verb: Verb::Get { touch: None }, line: "EN ksession:0123456789abcdef O#", value: None }
}

pub fn set(len: usize) -> Work {
    let value = vec![b'v'; len].into();
    let ttl = memcache_engine::Ttl::secs(60, 0);
    let verb = Verb::Store { mode: memcache_engine::StoreMode::Set, value, flags: 0, ttl, cas: 0 };
    Work { verb, line: "HD O#", value: None }
}
