//! Each request gets one reply, and the right one.

use super::*;
use crate::operation::request::Direction;

#[test]
fn requests_of_one_turn_share_one_write_and_one_read() {
    let mut w = one(&[]);
    w.get("a", 1);
    w.set("b", "beta", 2);
    w.get("c", 3);
    assert_eq!(w.opened.len(), 1);
    w.accept(0);
    let out = w.written(0);
    let t = tokens(&out);
    assert_eq!(out, format!("mg a v f c k O{}\r\nms b 4 O{}\r\nbeta\r\nmg c v f c k O{}\r\n", t[0], t[1], t[2]));
    w.reply(0, &format!("VA 5 f7 c9 ka O{}\r\nalpha\r\nHD O{}\r\nEN kc O{}\r\n", t[0], t[1], t[2]));
    assert_eq!(w.done(), [(1, item("alpha", 7, 9)), (2, Ok(Outcome::Done)), (3, Ok(Outcome::Miss))]);
    assert_eq!(w.client.pending(), 0);
    let view = w.view();
    assert_eq!((view.open, view.idle, view.pending), (1, 1, 0));
    assert_eq!((view.stats().hits, view.stats().misses), (1, 1));
    assert_eq!((view.stats().operations.get, view.stats().operations.set), (2, 1));
}

#[test]
fn every_answer_of_every_operation() {
    let store = |mode, cas| Verb::Store { mode, value: Bytes::from_static(b"v"), flags: 0, ttl: Ttl::NEVER, cas };
    let count = |direction| Verb::Count { direction, delta: 1, initial: None, cas: 0 };
    let done = || Ok(Outcome::Done);
    let metadata = |ttl, fetched, stale| {
        let leased = stale;
        Ok(Outcome::Metadata(Metadata { size: 3, flags: 7, cas: 9, ttl, idle: 12, fetched, stale, leased }))
    };
    let cases: Vec<(Verb, &str, Answer)> = vec![
        (Verb::Get { touch: Some(Ttl::NEVER) }, "VA 1 f1 c2 kk O# \r\nx", item("x", 1, 2)),
        (Verb::Get { touch: None }, "EN", Ok(Outcome::Miss)),
        (Verb::Touch { ttl: Ttl::NEVER }, "HD s3 c1 kk O#", done()),
        (Verb::Touch { ttl: Ttl::NEVER }, "EN O#", Ok(Outcome::Miss)),
        (Verb::Inspect, "EN kk O#", Ok(Outcome::Miss)),
        (Verb::Inspect, "HD s3 f7 c9 t-1 h0 l12 kk O#", metadata(None, false, false)),
        (Verb::Inspect, "HD s3 f7 c9 t30 h1 l12 kk O# X Z", metadata(Some(30), true, true)),
        (Verb::Inspect, "HD s0 f0 c9 t30 h0 l0 kk O# Z", Ok(Outcome::Miss)),
        (Verb::Invalidate { ttl: None, cas: 0 }, "HD O#", done()),
        (Verb::Invalidate { ttl: None, cas: 0 }, "NF O#", Ok(Outcome::Miss)),
        (Verb::Invalidate { ttl: None, cas: 5 }, "EX O#", Ok(Outcome::Exists)),
        (store(StoreMode::Set, 0), "HD O#", done()),
        (store(StoreMode::Set, 5), "EX O#", Ok(Outcome::Exists)),
        (store(StoreMode::Set, 5), "NF O#", Ok(Outcome::Miss)),
        (store(StoreMode::Add, 0), "NS O#", Ok(Outcome::NotStored)),
        (store(StoreMode::Replace, 0), "NS O#", Ok(Outcome::NotStored)),
        (store(StoreMode::Append, 0), "NS O#", Ok(Outcome::NotStored)),
        (store(StoreMode::Prepend, 0), "HD O#", done()),
        (store(StoreMode::Append, 5), "EX O#", Ok(Outcome::Exists)),
        (store(StoreMode::Prepend, 5), "NS O#", Ok(Outcome::NotStored)),
        (store(StoreMode::Append, 5), "HD O#", done()),
        (Verb::Delete { cas: 0 }, "HD O#", done()),
        (Verb::Delete { cas: 0 }, "NF O#", Ok(Outcome::Miss)),
        (Verb::Delete { cas: 9 }, "EX O#", Ok(Outcome::Exists)),
        (count(Direction::Incr), "VA 2 O#\r\n42", Ok(Outcome::Number(42))),
        (count(Direction::Decr), "NF O#", Ok(Outcome::Miss)),
        (Verb::Count { direction: Direction::Incr, delta: 1, initial: None, cas: 5 }, "EX O#", Ok(Outcome::Exists)),
        (count(Direction::Incr), "VA 20 O#\r\n18446744073709551615", Ok(Outcome::Number(u64::MAX))),
        (store(StoreMode::Set, 0), "SERVER_ERROR out of memory", Err(Error::Server("out of memory".into()))),
    ];
    let mut w = one(&[]);
    w.get("warm", 0);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("EN O{t}\r\n"));
    w.done();
    for (n, (verb, reply, expected)) in cases.into_iter().enumerate() {
        w.submit("k", verb.clone(), n as u32).unwrap();
        let token = tokens(&w.written(0))[0].to_string();
        w.reply(0, &format!("{}\r\n", reply.replace('#', &token)));
        assert_eq!(w.done(), [(n as u32, expected)], "{verb:?}: {reply}");
        assert!(w.closed.is_empty());
    }
}

#[test]
fn operations_on_a_server_have_no_token() {
    let text = |text: &'static str| Ok(Outcome::Text(text.into()));
    let cases = [
        (ServerVerb::Version, "version\r\n", "VERSION 1.6.18\r\n", text("1.6.18")),
        (ServerVerb::Noop, "mn\r\n", "MN\r\n", Ok(Outcome::Done)),
        (ServerVerb::FlushAll { delay: 0 }, "flush_all\r\n", "OK\r\n", Ok(Outcome::Done)),
        (ServerVerb::FlushAll { delay: 9 }, "flush_all 9\r\n", "OK\r\n", Ok(Outcome::Done)),
        (ServerVerb::Stats, "stats\r\n", "STAT pid 7\r\nSTAT a b c\r\nEND\r\n", text("pid 7\na b c\n")),
        (ServerVerb::Stats, "stats\r\n", "END\r\n", text("")),
        (ServerVerb::Stats, "stats\r\n", "SERVER_ERROR no\r\n", Err(Error::Server("no".into()))),
    ];
    let mut w = one(&[]);
    for (n, (verb, request, reply, expected)) in cases.into_iter().enumerate() {
        w.client.submit_to(0, verb, None, n as u32, w.now).unwrap();
        w.outputs();
        if n == 0 {
            w.accept(0);
        }
        assert_eq!(w.written(0), request);
        for byte in reply.split_inclusive(|_| true) {
            w.reply(0, byte);
        }
        assert_eq!(w.done(), [(n as u32, expected)], "{verb:?}");
    }
    assert!(w.closed.is_empty());
    let nowhere = w.client.submit_to(1, ServerVerb::Version, None, 2, w.now).unwrap_err();
    assert_eq!(nowhere.error, Error::NoSuchServer);
}

#[test]
fn statistics_that_do_not_end_are_not_kept() {
    let mut w = one(&[]);
    w.client.submit_to(0, ServerVerb::Stats, None, 1, w.now).unwrap();
    w.outputs();
    w.accept(0);
    w.written(0);
    let line = format!("STAT {}\r\n", "x".repeat(1000));
    for _ in 0..66 {
        if w.closed.is_empty() {
            w.reply(0, &line);
        }
    }
    assert_eq!(w.closed.len(), 1);
    assert_eq!(w.done(), [(1, Err(Error::Protocol { maybe_applied: false }))]);
    assert_eq!(w.view().stats().limits.reply, 1);
}

/// Each of these operations accepts its own reply only.
#[test]
fn replies_of_another_operation_are_not_taken() {
    let verbs = [ServerVerb::Version, ServerVerb::Noop, ServerVerb::Stats, ServerVerb::FlushAll { delay: 0 }];
    let replies = ["VERSION 1\r\n", "MN\r\n", "END\r\n", "OK\r\n"];
    for (verb, own) in verbs.into_iter().zip(replies) {
        for other in replies.into_iter().chain(["HD\r\n", "STAT a b\r\nOK\r\n"]).filter(|&reply| reply != own) {
            let mut w = one(&[]);
            w.client.submit_to(0, verb, None, 1, w.now).unwrap();
            w.outputs();
            w.accept(0);
            w.written(0);
            w.reply(0, other);
            let maybe_applied = verb.is_write();
            assert_eq!(w.done(), [(1, Err(Error::Protocol { maybe_applied }))], "{verb:?}: {other}");
        }
    }
}

/// Rows F15, F19 to F22, F24 and F30: a reply that does not belong there ends the connection, and no operation gets it.
#[test]
fn f15_f19_f20_f21_f22_f24_f30_replies_that_do_not_belong_there() {
    let cases: [(&str, &str); 13] = [
        ("garbage", "HELLO\r\n"),
        ("missing: the second comes first", "VA 1 f0 c1 kb O2\r\nB\r\n"),
        ("swapped", "VA 1 f0 c1 kb O2\r\nB\r\nVA 1 f0 c1 ka O1\r\nA\r\n"),
        ("right token, wrong key", "VA 1 f0 c1 kb O1\r\nB\r\n"),
        ("right key, wrong token", "VA 1 f0 c1 ka O2\r\nA\r\n"),
        ("right token, no key", "VA 1 f0 c1 O1\r\nB\r\n"),
        ("no token", "VA 1 f0 c1 ka\r\nA\r\n"),
        ("a miss with a key but no token", "EN ka\r\n"),
        ("a miss with another key", "EN kb O1\r\n"),
        ("wrong code", "NS O1\r\n"),
        ("a stray line end", "\r\n"),
        ("noop", "MN\r\n"),
        ("version", "VERSION 1\r\n"),
    ];
    for (what, reply) in cases {
        let mut w = one(&["max=1"]);
        w.get("a", 1);
        w.get("b", 2);
        w.accept(0);
        let t = tokens(&w.written(0));
        w.reply(0, &reply.replace("O1", &format!("O{}", t[0])).replace("O2", &format!("O{}", t[1])));
        assert_eq!(w.closed, [w.conn(0)], "{what}");
        assert_eq!(w.done(), [(1, Err(Error::Protocol { maybe_applied: false }))], "{what}");
        // The second did nothing wrong: it is asked again.
        w.accept(1);
        let t = tokens(&w.written(1));
        w.reply(1, &format!("VA 1 f0 c1 kb O{}\r\nB\r\n", t[0]));
        assert_eq!(w.done(), [(2, item("B", 0, 1))], "{what}");
    }
}

#[test]
fn f20_f22_bytes_that_nothing_was_asked_for() {
    let mut w = one(&[]);
    w.get("a", 1);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("EN ka O{t}\r\nEN ka O{t}\r\n"));
    assert_eq!(w.done(), [(1, Ok(Outcome::Miss))], "the first was right");
    assert_eq!(w.closed, [w.conn(0)]);

    w.get("b", 2);
    w.accept(1);
    // Before a byte of the request is written.
    w.reply(1, "E");
    assert_eq!(w.closed[1..], [w.conn(1)]);
    assert!(w.done().is_empty(), "it goes to another connection");
    w.accept(2);
    assert!(w.written(2).starts_with("mg b "));
}

#[test]
fn f17_too_large_a_value_is_skipped() {
    let mut config = config(&[&[]]);
    config.max_value = 10;
    let mut w = world(config);
    w.get("a", 1);
    w.get("b", 2);
    assert_eq!(w.submit("c", set("12345678901"), 3), Err(Error::TooLarge { size: 11, limit: 10 }));
    w.set("c", "1234567890", 4);
    w.accept(0);
    let t = tokens(&w.written(0));
    w.reply(0, &format!("VA 11 f0 c1 ka O{}\r\nxxxxxxxxxxx\r\nVA 1 f0 c1 kb O{}\r\nB\r\nHD O{}\r\n", t[0], t[1], t[2]));
    let too_large = Err(Error::TooLarge { size: 11, limit: 10 });
    assert_eq!(w.done(), [(1, too_large), (2, item("B", 0, 1)), (4, Ok(Outcome::Done))]);
    assert!(w.closed.is_empty());
}

#[test]
fn f13_f14_a_reply_at_every_split_and_many_at_once() {
    let whole = |t: &[u32]| format!("VA 3 f0 c1 ka O{}\r\nA\r\n\r\nEN kb O{}\r\nHD O{}\r\n", t[0], t[1], t[2]);
    let len = whole(&[1_000_000_000; 3]).len();
    for at in 0..len {
        let mut w = one(&[]);
        w.get("a", 1);
        w.get("b", 2);
        w.set("c", "x", 3);
        w.accept(0);
        let reply = whole(&tokens(&w.written(0)));
        let (first, second) = reply.split_at(at.min(reply.len()));
        w.reply(0, first);
        w.reply(0, second);
        assert_eq!(w.done(), [(1, item("A\r\n", 0, 1)), (2, Ok(Outcome::Miss)), (3, Ok(Outcome::Done))], "at {at}");
    }
    let mut w = one(&["max=1"]);
    for n in 0..1000 {
        w.get("k", n);
    }
    w.accept(0);
    let replies: String = tokens(&w.written(0)).iter().map(|t| format!("EN kk O{t}\r\n")).collect();
    w.reply(0, &replies);
    let tags: Vec<u32> = w.done().into_iter().map(|(tag, _)| tag).collect();
    assert_eq!(tags, (0..1000).collect::<Vec<_>>());
}

#[test]
fn binary_keys_and_the_prefix_are_checked_on_the_wire_form() {
    let mut config = config(&[&[]]);
    config.keys.prefix = Bytes::from_static(b"p:");
    let mut w = world(config);
    w.get("a b", 1);
    w.get("cow", 2);
    assert!(matches!(w.submit("", Verb::Get { touch: None }, 3), Err(Error::InvalidKey(_))));
    assert!(matches!(w.submit(&"k".repeat(249), Verb::Get { touch: None }, 3), Err(Error::InvalidKey(_))));
    w.accept(0);
    let out = w.written(0);
    let t = tokens(&out);
    assert!(out.starts_with("mg cDphIGI= b v f c k O"), "{out}");
    w.reply(0, &format!("VA 1 kcDphIGI= b f0 c1 O{}\r\nx\r\nVA 1 f0 c1 kp:cow O{}\r\ny\r\n", t[0], t[1]));
    assert_eq!(w.done(), [(1, item("x", 0, 1)), (2, item("y", 0, 1))]);
}

#[test]
fn values_are_slices_of_the_read_buffer_and_large_ones_have_their_own() {
    let mut w = one(&[]);
    w.get("a", 1);
    w.get("b", 2);
    w.accept(0);
    let t = tokens(&w.written(0));
    let large = "L".repeat(100_000);
    let reply = format!("VA 1 f0 c1 ka O{}\r\nx\r\nVA 100000 f0 c1 kb O{}\r\n{large}\r\n", t[0], t[1]);
    let mut rest = reply.as_bytes();
    while !rest.is_empty() {
        let conn = w.conn(0);
        let buffer = w.client.read_buffer(conn).unwrap();
        let room = buffer.capacity() - buffer.len();
        assert!((1..=120_000).contains(&room), "{room}");
        let (now, later) = rest.split_at(room.min(rest.len()).min(10_000));
        buffer.extend_from_slice(now);
        w.client.received(conn, now.len(), w.now);
        rest = later;
    }
    assert_eq!(w.done(), [(1, item("x", 0, 1)), (2, item(&large, 0, 1))]);
    let conn = w.conn(0);
    assert!(w.client.read_buffer(conn).unwrap().capacity() < 64 * 1024, "the large buffer went with its value");
}

#[test]
fn a_number_that_was_never_given_out_is_no_id() {
    let mut w = one(&["max=1"]);
    let call = w.get("k", 1);
    let number = call.to_u64();
    assert_eq!(CallId::from_u64(number), call);
    for bit in 0..64 {
        assert_eq!(w.cancel(CallId::from_u64(number ^ (1 << bit))), None, "bit {bit}");
    }
    assert_eq!(w.cancel(call), Some(1));
}
