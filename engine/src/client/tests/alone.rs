//! Operations that go alone: the server may close the connection.

use super::*;

const FLUSH: ServerVerb = ServerVerb::FlushAll { delay: 0 };

impl World {
    fn flush(&mut self, tag: u32) -> CallId {
        let call = self.client.submit_to(0, FLUSH, None, tag, self.now).map_err(|rejected| rejected.error).unwrap();
        self.outputs();
        call
    }

    /// The server answers a set or a get, the only one on this connection.
    fn answer(&mut self, n: usize, written: &str) {
        let token = tokens(written)[0];
        let reply = if written.starts_with("ms ") { "HD" } else { "EN" };
        self.reply(n, &format!("{reply} O{token}\r\n"));
    }

    /// A connection is there, which has answered.
    fn accept_now(&mut self) {
        self.get("first", 0);
        self.accept(0);
        let written = self.written(0);
        self.answer(0, &written);
        assert_eq!(self.done(), [(0, Ok(Outcome::Miss))]);
    }
}

/// What is before it is answered first, and nothing is sent behind it until it is answered.
#[test]
fn r18_a_flush_is_alone_on_the_only_connection() {
    let mut w = one(&["max=1"]);
    w.accept_now();
    w.get("a", 1);
    w.flush(2);
    w.set("b", "v", 3);
    let first = w.written(0);
    assert!(first.starts_with("mg a ") && first.lines().count() == 1, "{first}");
    w.answer(0, &first);
    assert_eq!(w.written(0), "flush_all\r\n");
    w.get("c", 4);
    assert_eq!(w.written(0), "");
    w.reply(0, "OK\r\n");
    assert_eq!(w.done(), [(1, Ok(Outcome::Miss)), (2, Ok(Outcome::Done))]);
    let rest = w.written(0);
    assert!(rest.starts_with("ms b ") && rest.contains("mg c "), "{rest}");
}

/// The close is the answer to it alone, and no failure of the server.
#[test]
fn r18_a_server_that_closes_at_a_flush_takes_no_other_along() {
    for max in ["max=1", "max=2"] {
        let mut w = one(&[max]);
        w.configure(|config| config.max_fails = 1);
        w.accept_now();
        w.flush(1);
        w.set("a", "v", 2);
        assert_eq!(w.written(0), "flush_all\r\n");
        w.lose(0, Loss::Eof);
        assert_eq!(w.done(), [(1, Err(Error::Unknown { maybe_applied: true }))], "{max}");
        assert_eq!(w.view().state, State::Live);
        w.accept(1);
        let set = w.written(1);
        w.answer(1, &set);
        assert_eq!(w.done(), [(2, Ok(Outcome::Done))], "{max}");
    }
}

/// It gets a connection of its own where that is allowed, or the first that is idle.
#[test]
fn r18_a_flush_asks_for_another_connection() {
    for opened_first in [true, false] {
        let mut w = one(&["max=2"]);
        w.accept_now();
        w.get("a", 1);
        let first = w.written(0);
        w.flush(2);
        assert_eq!((w.opened.len(), w.written(0)), (2, String::new()));
        let n = usize::from(opened_first);
        if opened_first {
            w.accept(1);
        } else {
            w.answer(0, &first);
        }
        assert_eq!(w.written(n), "flush_all\r\n");
        w.get("b", 3);
        if !opened_first {
            w.accept(1);
        }
        assert!(w.written(1 - n).starts_with("mg b "), "it is on the other one");
    }
}

/// Those that wait behind it go on when it gives up: it may be what they wait for.
#[test]
fn r18_a_flush_that_gives_up_keeps_nobody_waiting() {
    for cancels in [true, false] {
        let mut w = one(&["max=1"]);
        w.accept_now();
        w.get("a", 1);
        w.written(0);
        let short = Some(Duration::from_millis(10));
        let call = w.client.submit_to(0, FLUSH, short, 2, w.now).map_err(|rejected| rejected.error).unwrap();
        w.set("b", "v", 3);
        assert_eq!(w.written(0), "");
        if cancels {
            assert_eq!(w.cancel(call), Some(2));
        } else {
            w.wait(Duration::from_millis(10));
            assert_eq!(w.done(), [(2, Err(Error::Timeout { maybe_applied: false }))]);
        }
        assert!(w.written(0).starts_with("ms b "), "{cancels}");
    }
}

/// Where nothing may wait, it goes among the others, as a server that is always busy would never do it.
#[test]
fn r18_a_flush_does_not_wait_where_nothing_may() {
    let mut w = one(&["max=1"]);
    w.accept_now();
    w.configure(|config| config.queue = 0);
    w.get("a", 1);
    w.flush(2);
    w.get("b", 3);
    let written = w.written(0);
    assert_eq!(written.lines().count(), 3, "{written}");
}
