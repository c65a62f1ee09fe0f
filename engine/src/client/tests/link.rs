//! Row R10: large and small items over a link that is full, from a client that has learned nothing yet.

use std::collections::VecDeque;

use super::*;

const LARGE: usize = 1024 * 1024;
/// What the link carries of one connection before it is the next one's turn, and how long that takes.
const PIECE: usize = 16 * 1024;
const PIECE_TIME: Duration = Duration::from_micros(655);

/// A link of 25 MB/s from the server, fair between its connections, and clients that read an item after the other.
struct Link {
    w: World,
    /// What is still to come on each connection.
    replies: Vec<VecDeque<Bytes>>,
    next: usize,
    readers: Vec<Reader>,
    value: Bytes,
}

/// `tag` in the answers is its number.
struct Reader {
    /// The large item that it reads next, and how many there are; `None`: it reads the small one.
    large: Option<(usize, usize)>,
    asked: Instant,
    /// When it asks, if it waits for nothing.
    asks: Option<Instant>,
    took: Vec<Duration>,
    failed: usize,
}

impl Link {
    fn new(config: Config, readers: usize, items: usize) -> Link {
        let w = world(config);
        let now = w.now;
        let reader = |large| Reader { large, asked: now, asks: Some(now), took: Vec::new(), failed: 0 };
        let large = (0..readers).map(|n| reader(Some((n % items, items))));
        let readers = large.chain([reader(None), reader(None)]).collect();
        Link { w, replies: Vec::new(), next: 0, readers, value: Bytes::from(vec![b'v'; LARGE]) }
    }

    fn run(&mut self, time: Duration) {
        let until = self.w.now.after(time);
        while self.w.now < until {
            for n in 0..self.readers.len() {
                self.ask(n);
            }
            for n in 0..self.w.opened.len() {
                self.serve(n);
            }
            self.carry();
            self.w.wait(PIECE_TIME);
            for (n, answer) in self.w.done() {
                let now = self.w.now;
                let reader = &mut self.readers[n as usize];
                let size = if reader.large.is_some() { LARGE } else { 5 };
                let ok = matches!(&answer, Ok(Outcome::Item(item)) if item.value.len() == size);
                let pause = if ok { 0 } else { 10 } + if reader.large.is_none() { 5 } else { 0 };
                if ok {
                    reader.took.push(now.since(reader.asked));
                } else {
                    reader.failed += 1;
                }
                reader.asks = Some(now.after(Duration::from_millis(pause)));
                if let Some((item, items)) = &mut reader.large {
                    *item = (*item + 1) % *items;
                }
            }
        }
    }

    fn ask(&mut self, n: usize) {
        let now = self.w.now;
        let reader = &mut self.readers[n];
        if reader.asks.is_some_and(|at| at <= now) {
            reader.asks = None;
            reader.asked = now;
            let key = reader.large.map_or("small".to_owned(), |(item, _)| format!("large{item}"));
            self.w.get(&key, n as u32);
        }
    }

    /// The server gets what was written, and has its answers ready.
    fn serve(&mut self, n: usize) {
        if self.replies.len() <= n {
            self.replies.push(VecDeque::new());
            self.w.client.connected(self.w.opened[n].0, self.w.now);
        }
        let written = self.w.written(n);
        let mut tokens = tokens(&written).into_iter();
        for line in written.split("\r\n") {
            let words: Vec<&str> = line.split(' ').collect();
            let reply = match words[..] {
                ["version"] => "VERSION 1.6.18\r\n".to_owned(),
                ["mn"] => "MN\r\n".to_owned(),
                ["mg", key, ..] if key.starts_with("large") || key == "small" => {
                    let size = if key == "small" { 5 } else { LARGE };
                    let head = format!("VA {size} f0 c1 k{key} O{}\r\n", tokens.next().unwrap());
                    self.replies[n].push_back(head.into());
                    self.replies[n].push_back(self.value.slice(..size));
                    "\r\n".to_owned()
                }
                ["mg", ..] => format!("EN O{}\r\n", tokens.next().unwrap()),
                ["ms", ..] => format!("HD O{}\r\n", tokens.next().unwrap()),
                _ => continue,
            };
            self.replies[n].push_back(reply.into());
        }
    }

    /// The next connection's turn.
    fn carry(&mut self) {
        let many = self.replies.len();
        let Some(n) = (0..many).map(|n| (self.next + n) % many).find(|&n| !self.replies[n].is_empty()) else { return };
        self.next = n + 1;
        let mut left = PIECE;
        let conn = self.w.opened[n].0;
        while left > 0 {
            let Some(reply) = self.replies[n].front_mut() else { break };
            let part = reply.split_to(reply.len().min(left));
            left -= part.len();
            if reply.is_empty() {
                self.replies[n].pop_front();
            }
            self.w.client.read_buffer(conn).expect("nothing is closed").extend_from_slice(&part);
            self.w.client.received(conn, part.len(), self.w.now);
            self.w.outputs();
        }
    }

    /// Large and small: how many were served, how many failed, and how long the one in the middle took.
    fn results(&mut self) -> [(usize, usize, Duration); 2] {
        [true, false].map(|large| {
            let readers = self.readers.iter_mut().filter(|reader| reader.large.is_some() == large);
            let (mut took, mut failed) = (Vec::new(), 0);
            for reader in readers {
                took.append(&mut reader.took);
                failed += std::mem::take(&mut reader.failed);
            }
            took.sort_unstable();
            (took.len(), failed, took.get(took.len() / 2).copied().unwrap_or_default())
        })
    }
}

/// Large ones fill connections before it is known that they are large. Soon small ones do not wait for them any more, also
/// where the large ones are others each time; and what was asked for first is not starved by what comes later.
#[test]
fn r10_a_client_that_has_learned_nothing_recovers() {
    let clients = [(30, 3), (60, 7)].map(|clients| (clients, "max=8", 40, false));
    let others = [("max=8", 40, true), ("max=8", 100_000, false), ("max=2", 40, false), ("max=3", 40, false)];
    let others = others.map(|(max, items, coalesce)| ((30, 5), max, items, coalesce));
    for ((clients, seconds), max, items, coalesce) in clients.into_iter().chain(others) {
        let mut config = config(&[&[max]]);
        (config.max_value, config.coalesce) = (LARGE, coalesce);
        let mut link = Link::new(config, clients, items);
        link.run(Duration::from_secs(seconds));
        let first = link.results();
        link.run(Duration::from_secs(6));
        let [large, small] = link.results();
        let all = format!("{clients} clients, {max}, {items} items, {coalesce}: {first:?}, {large:?}, {small:?}");
        assert_eq!((first[0].1, first[1].1, large.1, small.1), (0, 0, 0, 0), "{all}");
        assert!(large.0 >= 120 && small.0 > 600 && small.2 < Duration::from_millis(20), "{all}");
    }
}
