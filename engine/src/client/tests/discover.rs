//! The question for the servers of a cluster, which is a line of text in both dialects.

use super::*;
use crate::config::Discovery;
use crate::limits::MAX_DISCOVERY;
use crate::operation::request::DiscoverBy::{self, Config, Item};

const LIST: &str = "12\na.example|10.0.0.1|11211 b.example||11212\n";

/// A client whose values are small, with a connection.
fn endpoint() -> World {
    let mut w = one(&["max=1"]);
    w.configure(|config| config.max_value = 10);
    w.miss(0);
    w
}

impl World {
    /// A get has its answer on connection number `n`.
    fn miss(&mut self, n: usize) {
        self.get("k", 0);
        if self.opened.len() == n + 1 && self.view().open == 0 {
            self.accept(n);
        }
        let token = tokens(&self.written(n))[0];
        self.reply(n, &format!("EN O{token}\r\n"));
        assert_eq!(self.done(), [(0, Ok(Outcome::Miss))]);
    }

    /// Asks, and returns what was written.
    fn discover(&mut self, by: DiscoverBy, tag: u32) -> String {
        let verb = ServerVerb::Discover { by };
        self.client.submit_to(0, verb, None, tag, self.now).map_err(|rejected| rejected.error).unwrap();
        self.outputs();
        self.written(0)
    }

    /// The answer of the connection to the question with this tag, in pieces of so many bytes.
    fn answered(&mut self, reply: &str, size: usize) -> Answer {
        for piece in reply.as_bytes().chunks(size) {
            self.reply(0, std::str::from_utf8(piece).unwrap());
        }
        let mut done = self.done();
        assert_eq!((done.len(), done[0].0), (1, 1));
        done.remove(0).1
    }
}

fn reply(head: &str, list: &str) -> String {
    format!("{head} 0 {}\r\n{list}\r\nEND\r\n", list.len())
}

/// Whatever the largest value, in one piece and byte by byte. The connection is used on.
#[test]
fn both_questions_have_the_same_answer() {
    for (by, question, head) in [
        (Config, "config get cluster\r\n", "CONFIG cluster"),
        (Item, "get AmazonElastiCache:cluster\r\n", "VALUE AmazonElastiCache:cluster"),
    ] {
        let mut w = endpoint();
        for size in [usize::MAX, 1] {
            assert_eq!(w.discover(by, 1), question);
            let answer = w.answered(&reply(head, LIST), size);
            assert_eq!(answer, Ok(Outcome::Text(Bytes::copy_from_slice(LIST.as_bytes()))));
            assert_eq!(Discovery::of(&answer).unwrap().nodes.len(), 2);
        }
        w.miss(0);
        assert_eq!((w.closed.len(), w.view().stats().operations.discover), (0, 2));
    }
}

/// It says so, and stays usable.
#[test]
fn a_server_without_a_list() {
    for (reply, answer) in [
        ("END\r\n", Ok(Outcome::Miss)),
        ("ERROR\r\n", Err(Error::Client(Bytes::new()))),
        ("SERVER_ERROR no\r\n", Err(Error::Server("no".into()))),
    ] {
        let mut w = endpoint();
        w.discover(Config, 1);
        assert_eq!(w.answered(reply, 1), answer);
        assert!(w.closed.is_empty());
    }
}

/// The limit is its own. What is larger is dropped as it comes, and the connection is used on.
#[test]
fn a_list_has_a_limit() {
    let list = |size: usize| format!("1\n{}\n", "a||1 ".repeat(size).split_at(size - 3).0);
    for (size, whole) in [(MAX_DISCOVERY, true), (MAX_DISCOVERY + 1, false)] {
        let mut w = endpoint();
        w.discover(Config, 1);
        let answer = w.answered(&reply("CONFIG cluster", &list(size)), 1000);
        match answer {
            Ok(Outcome::Text(list)) => assert!(whole && list.len() == size),
            answer => assert_eq!((whole, answer), (false, Err(Error::TooLarge { size, limit: MAX_DISCOVERY }))),
        }
        assert!(w.closed.is_empty());
    }
}

/// What is no answer to it ends the connection.
#[test]
fn replies_that_do_not_belong_there() {
    for reply in [
        "CONFIG cluster 0 3\r\n1\na||1\n\r\nEND\r\n",
        "CONFIG cluster 0 30\r\n1\na||1\n\r\nEND\r\nEND\r\nEND\r\nEND\r\nEND\r\n",
        "CONFIG cluster 0 9999999999\r\n",
        "CONFIG other 0 3\r\n1\na\r\nEND\r\n",
        "VALUE AmazonElastiCache:cluster 0 3\r\n1\na\r\nEND\r\n",
        "VA 3 O1\r\n1\na\r\n",
        "STAT a b\r\nEND\r\n",
        "EN\r\n",
        "MN\r\n",
    ] {
        let mut w = endpoint();
        w.discover(Config, 1);
        assert_eq!(w.answered(reply, usize::MAX), Err(Error::Protocol { maybe_applied: false }), "{reply}");
        assert_eq!(w.closed.len(), 1);
    }
}

/// A proxy that closes at it takes nothing along, and is asked once more, as after any read.
#[test]
fn it_goes_alone() {
    let mut w = endpoint();
    assert_eq!(w.discover(Config, 1), "config get cluster\r\n");
    w.set("k", "v", 2);
    assert_eq!(w.written(0), "");
    w.lose(0, Loss::Eof);
    assert_eq!(w.done(), []);
    w.accept(1);
    assert_eq!(w.written(1), "config get cluster\r\n");
    w.lose(1, Loss::Eof);
    assert_eq!((w.done(), w.view().state), (vec![(1, Err(Error::Unknown { maybe_applied: false }))], State::Live));
    w.accept(2);
    let token = tokens(&w.written(2))[0];
    w.reply(2, &format!("HD O{token}\r\n"));
    assert_eq!(w.done(), [(2, Ok(Outcome::Done))]);
}
