//! Row R13: operations on one key are carried out in the order of submission. Row R12: `memcache_queue 0`.

use super::*;
use crate::operation::request::Direction;

/// A client whose server has two connections with one operation each. The first one has the write `set k first`.
fn two() -> World {
    let mut w = one(&["min=2", "max=2"]);
    w.accept(0);
    w.accept(1);
    w.set("k", "first", 1);
    assert!(w.written(0).contains("first"));
    w.get("x", 90);
    assert!(w.written(1).contains("mg x "), "the other one has less to do");
    w.get("y", 91);
    w.get("z", 92);
    assert_eq!((w.written(0).matches("mg ").count(), w.written(1).matches("mg ").count()), (2, 0));
    w
}

fn writes(w: &World) -> usize {
    w.client.servers.iter().map(|(_, server)| server.pending_writes()).sum()
}

#[test]
fn r13_the_queue_is_not_overtaken() {
    let mut w = one(&["max=2"]);
    w.get("warm", 90);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("EN O{t}\r\n"));
    w.set("large", &"x".repeat(200_000), 91);
    w.write(0, 1000);
    w.set("k", "first", 1);
    w.set("k", "second", 2);
    w.get("k", 3);
    assert_eq!(w.view().queued, 3);
    let out = w.written(0);
    let at = |text| out.find(text).unwrap_or_else(|| panic!("{text} is not there"));
    assert!(at("first") < at("second") && at("second") < at("mg k "), "written as soon as the large value is");
    assert_eq!(w.view().queued, 0);
}

#[test]
fn r13_what_follows_a_write_goes_to_its_connection() {
    let ttl = Ttl::NEVER;
    let verbs = [
        set("second"),
        Verb::Get { touch: None },
        Verb::Get { touch: Some(ttl) },
        Verb::Delete { cas: 0 },
        Verb::Touch { ttl },
        Verb::Inspect,
        Verb::Invalidate { ttl: None, cas: 0 },
        Verb::Count { direction: Direction::Incr, delta: 1, initial: None, cas: 0 },
        Verb::Lease { vivify: std::num::NonZeroU32::MIN, recache: 0, wait: false },
    ];
    for verb in verbs {
        let mut w = two();
        w.submit("k", verb.clone(), 2).unwrap();
        assert!(w.written(0).contains(" k "), "{verb:?}");
        w.submit("other", verb.clone(), 3).unwrap();
        assert!(w.written(1).contains(" other "), "{verb:?}: other keys go where there is less to do");
    }
    let mut w = two();
    w.client.submit_many(Subset::ALL, [&b"a"[..], b"k", b"b"], None, None, 2, w.now).unwrap();
    w.outputs();
    assert!(w.written(0).contains("mg k "), "a key of a batch");
}

/// The first operation on a key goes to any connection with room, and so does the first one after the last write was
/// answered.
#[test]
fn r13_only_while_there_is_no_answer() {
    let mut w = two();
    w.set("k", "second", 2);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("HD O{}\r\nEN O{}\r\nEN O{}\r\n", t - 3, t - 2, t - 1));
    w.set("k", "third", 3);
    assert!(w.written(0).contains("third"), "the second one has none");
    w.reply(0, &format!("HD O{t}\r\nHD O{}\r\n", t + 1));
    assert_eq!(writes(&w), 0);
    w.get("busy", 4);
    w.get("busy", 5);
    w.written(0);
    w.set("k", "fourth", 6);
    assert!(w.written(1).contains("fourth"));
    assert_eq!(writes(&w), 1);
}

/// However a write ends, its mark does not keep other operations on its connection.
#[test]
fn r13_who_ends_without_an_answer_holds_nobody() {
    let lose = |w: &mut World| w.lose(0, Loss::Error);
    type End = fn(&mut World, CallId);
    let ends: [(&str, End); 4] = [
        ("cancelled", |w, call| assert!(w.cancel(call).is_some())),
        ("late", |w, _| w.wait(Duration::from_secs(1))),
        ("lost", |w, _| w.lose(0, Loss::Error)),
        ("refused", |w, _| w.reply(0, "SERVER_ERROR no\r\n")),
    ];
    for (how, end) in ends {
        let mut w = one(&["min=2", "max=2"]);
        w.accept(0);
        w.accept(1);
        let call = w.set("k", "first", 1);
        w.written(0);
        assert_eq!(writes(&w), 1);
        end(&mut w, call);
        assert_eq!(writes(&w), 0, "{how}");
    }
    let mut w = two();
    lose(&mut w);
    w.wait(Duration::from_secs(3));
    assert_eq!(writes(&w), 0);
}

/// Operations that were not written when their connection was lost are sent again in order, and in front of later ones.
#[test]
fn r13_through_a_second_try() {
    let mut w = one(&["min=2", "max=2"]);
    w.accept(0);
    w.accept(1);
    w.set("k", "first", 1);
    w.get("k", 2);
    w.set("k", "second", 3);
    w.lose(0, Loss::Error);
    w.set("k", "third", 4);
    let out = w.written(1);
    let found: Vec<usize> = ["first", "mg k ", "second", "third"].iter().map(|text| out.find(text).unwrap()).collect();
    assert!(found.is_sorted(), "{out}");
    assert_eq!(w.view().stats().retried, 3);
}

/// Two connections. The one with the writes of "k" has as many operations as it may have.
fn full() -> World {
    let mut config = config(&[&["min=2", "max=2"]]);
    (config.pipeline, config.queue) = (1, 4);
    let mut w = world(config);
    w.accept(0);
    w.accept(1);
    for n in 0..12 {
        w.set("k", "v", n);
    }
    w
}

/// If the connection of a key is full, operations on other keys go on. Its bound is a separate one.
#[test]
fn r13_a_full_connection() {
    let mut w = full();
    assert_eq!(w.submit("k", set("v"), 20), Err(Error::Busy));
    w.set("other", "v", 21);
    assert_eq!(w.written(1).matches("ms other ").count(), 1);
    assert_eq!(w.written(0).matches("ms k ").count(), 12, "the bound of a pipeline, and of the queue");
}

/// An operation that has to go to a full connection that hangs keeps no other waiting.
#[test]
fn r13_what_waits_for_a_full_connection_keeps_nobody() {
    let mut w = full();
    assert_eq!(w.written(0).matches("ms k ").count(), 12, "the first one hangs from now on");
    // Each time that the other one is full, some for either wait, until the first one has as many as it may ever have.
    for n in (20..).step_by(20).take(2) {
        (0..8).for_each(|i| w.get_or_error(&format!("before{i}"), n + i));
        w.get("x", n + 10);
        w.set("k", "v", n + 11);
        w.set("k", "v", n + 12);
        w.get("y", n + 13);
        assert_eq!(w.view().queued, 4);
        let t = tokens(&w.written(1));
        let replies = |t: &[u32]| t.iter().map(|t| format!("EN O{t}\r\n")).collect::<String>();
        w.reply(1, &replies(&t));
        let out = w.written(1);
        assert!(out.contains("mg x ") && out.contains("mg y "), "{n}: there is room for both");
        w.reply(1, &replies(&tokens(&out)));
        assert_eq!(w.view().queued, 0);
    }
    assert_eq!(w.written(0).matches("ms k ").count(), 4, "16 of the first one are awaited");
    w.done();
    (0..8).for_each(|i| w.get_or_error(&format!("again{i}"), 70 + i));
    w.get("x", 80);
    w.set("k", "refused", 81);
    w.get("k", 82);
    w.get("y", 83);
    let t = tokens(&w.written(1));
    w.reply(1, &format!("EN O{}\r\nEN O{}\r\n", t[0], t[1]));
    let out = w.written(1);
    assert!(out.contains("mg x ") && out.contains("mg y "), "{out}");
    assert!(!out.contains("mg k ") && w.written(0).is_empty(), "what is behind it does not pass it: {out}");
    let miss = Ok(Outcome::Miss);
    assert_eq!(w.done(), [(70, miss.clone()), (71, miss), (81, Err(Error::Busy)), (82, Err(Error::Busy))]);
    assert_eq!((w.view().queued, w.view().stats().errors.busy), (0, 2));
}

/// Row R12: no operation waits, and a connection is opened for later ones.
#[test]
fn r12_a_queue_of_none() {
    let mut config = config(&[&["max=2"]]);
    (config.queue, config.coalesce) = (0, true);
    let mut w = world(config);
    assert_eq!(w.submit("k", Verb::Get { touch: None }, 1), Err(Error::Busy));
    assert_eq!(w.submit("k", Verb::Get { touch: None }, 1), Err(Error::Busy));
    assert_eq!((w.opened.len(), w.view().queued), (1, 0), "one connection is opened");
    w.accept(0);
    w.get("k", 2);
    w.get("k", 3);
    let t = tokens(&w.written(0));
    w.reply(0, &format!("EN kk O{}\r\n", t[0]));
    assert_eq!((w.done().len(), t.len()), (2, 1), "who shares an exchange waits for no connection");
    // What is large is in the way, and better than nothing.
    w.set("large", &"x".repeat(200_000), 4);
    w.write(0, 1000);
    w.get("small", 5);
    assert!(w.written(0).contains("mg small "));
    // Lost with its connection, it is sent again all the same.
    w.lose(0, Loss::Error);
    w.accept(1);
    assert!(w.written(1).contains("mg small "));
}
