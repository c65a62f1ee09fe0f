//! The same in the text protocol.
//!
//! Replies carry nothing that tells whose they are, but for the key of a value. So what is not a right answer is known only
//! where the form of the line or that key shows it.

use memcache_engine::{Answer, Item, Outcome};

use super::lines::fill;
use super::{endpoint, Peer, Says};
use crate::request::Request;

/// What is in the key that a new connection tries the server with.
const GREETING: &[u8] = b"ngx_http_memcache_greeting";

impl Request {
    /// Whether a new connection asks this before it is in use.
    pub(super) fn greets(&self) -> bool {
        self.key.windows(GREETING.len()).any(|part| part == GREETING)
    }

    fn gets(&self) -> bool {
        self.word == b"gets" || self.word == b"gats"
    }

    fn stores(&self) -> bool {
        [&b"set"[..], b"add", b"replace", b"append", b"prepend", b"cas"].contains(&&self.word[..])
    }
}

impl Peer {
    /// What comes next, and what it means.
    pub(super) fn say_text(&mut self, letter: u8, n: usize) -> (Vec<u8>, Says) {
        let Some(head) = self.awaited.front().cloned() else {
            let (bytes, _) = self.text_reply(letter, n, &Request { word: b"delete".into(), ..Request::default() });
            return (bytes, Says::Anything);
        };
        let (bytes, says) = if head.greets() {
            // What a new connection asks has to be answered, or it is closed.
            (if head.word == b"touch" { b"NOT_FOUND\r\n".to_vec() } else { b"END\r\n".to_vec() }, Says::Nothing)
        } else {
            self.text_reply(letter, n, &head)
        };
        if matches!(says, Says::Answer(..) | Says::Nothing) || letter == b'r' {
            self.awaited.pop_front();
            self.last.clone_from(&bytes);
        }
        // Without tokens nobody can tell what a reply answers that is out of step.
        (bytes, if self.skipped { Says::Anything } else { says })
    }

    fn text_reply(&self, letter: u8, n: usize, head: &Request) -> (Vec<u8>, Says) {
        let line = |text: &str| format!("{text}\r\n").into_bytes();
        let answer = |answer: Answer| Says::Answer(head.key.clone(), answer);
        if let Some(said) = Some(head).filter(|head| head.discovers()).and_then(|head| endpoint::say(letter, n, head)) {
            return said;
        }
        match letter {
            b'm' if head.gets() => (line("END"), answer(Ok(Outcome::Miss))),
            b'm' if head.word == b"delete" || head.word == b"touch" => (line("NOT_FOUND"), answer(Ok(Outcome::Miss))),
            b'n' if head.word == b"add" || head.word == b"replace" => (line("NOT_STORED"), Says::Anything),
            b'x' if head.word == b"cas" => (line("EXISTS"), answer(Ok(Outcome::Exists))),
            b'k' if head.gets() => {
                let other = Request { key: [&head.key[..], b"x"].concat(), ..head.clone() };
                (self.value(&other, n, 0).0, Says::Nonsense(head.key.clone()))
            }
            b'l' if head.gets() => (self.value(head, n, 1 + n).0, Says::Anything),
            b'z' if head.gets() => {
                let size = self.max_value + [1, 2, 100, 4097, 20_000, 70_000][n % 6];
                (value_of(head, size, size, n), Says::Anything)
            }
            b'e' if head.gets() => {
                let (mut bytes, _) = self.value(head, n, 0);
                bytes.truncate(bytes.len() - b"END\r\n".len());
                bytes.extend([&b"VALUE "[..], b"STORED\r\n", b"\r\nEND\r\n", b"END \r\n", b"end\r\n"][n % 5]);
                (bytes, Says::Anything)
            }
            b'm' | b'n' | b'x' | b'h' => {
                let words = ["END", "NOT_FOUND", "NOT_STORED", "EXISTS", "STORED", "DELETED", "TOUCHED", "OK", "7"];
                (line(words[n % words.len()]), Says::Anything)
            }
            b'S' => (line("SERVER_ERROR sorry"), Says::Anything),
            b'o' => (line("SERVER_ERROR object too large for cache"), Says::Anything),
            b'c' | b'C' => (line("CLIENT_ERROR bad"), Says::Anything),
            b'E' => (line("ERROR"), Says::Anything),
            b'q' => {
                let (mut bytes, _) = self.right_text(head, n);
                bytes.truncate(bytes.len().saturating_sub(1 + n));
                (bytes, Says::Anything)
            }
            _ => self.right_text(head, n),
        }
    }

    /// What a server says if all is well.
    fn right_text(&self, head: &Request, n: usize) -> (Vec<u8>, Says) {
        let line = |text: &str| format!("{text}\r\n").into_bytes();
        let answer = |outcome| Says::Answer(head.key.clone(), Ok(outcome));
        match &head.word[..] {
            b"gets" | b"gats" => self.value(head, n, 0),
            b"delete" => (line("DELETED"), answer(Outcome::Done)),
            b"touch" => (line("TOUCHED"), answer(Outcome::Done)),
            b"incr" | b"decr" => {
                let number = [0, 1, 42, u64::MAX][n % 4];
                (line(&number.to_string()), answer(Outcome::Number(number)))
            }
            // Who makes a counter has its number.
            b"add" => (line("STORED"), Says::Anything),
            _ if head.stores() => (line("STORED"), answer(Outcome::Done)),
            b"stats" => (b"STAT pid 1\r\nSTAT threads 4\r\nEND\r\n".to_vec(), Says::Anything),
            b"flush_all" => (line("OK"), answer(Outcome::Done)),
            b"config" | b"get" => endpoint::say(b'r', n, head).expect("it is answered"),
            // It may be a noop.
            _ => (line("VERSION 1.4.4"), Says::Anything),
        }
    }

    /// An item that is not too large; its length is announced `more` bytes longer.
    fn value(&self, head: &Request, n: usize, more: usize) -> (Vec<u8>, Says) {
        let sizes = [0, 1, 2, 10, 100, 4097, 16_384, 20_000, 70_000, self.max_value];
        let size = sizes[n % sizes.len()].min(self.max_value);
        let item = Item { value: fill(&head.key, size).into(), flags: n as u32, cas: n as u64 + 1 };
        (value_of(head, size, size + more, n), Says::Answer(head.key.clone(), Ok(Outcome::Item(item))))
    }
}

fn value_of(head: &Request, size: usize, announced: usize, n: usize) -> Vec<u8> {
    let line = [b"VALUE ", &head.key[..], format!(" {n} {announced} {}\r\n", n + 1).as_bytes()].concat();
    [&line[..], &fill(&head.key, size), b"\r\nEND\r\n"].concat()
}
