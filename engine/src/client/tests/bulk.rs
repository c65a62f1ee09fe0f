//! Row R10: large values, full links, and operations that wait behind them.

use super::*;
use crate::limits::SPARE_TIME;

const LARGE: usize = 100_000;

fn hit(key: &str, size: usize, token: u32) -> String {
    format!("VA {size} f0 c1 k{key} O{token}\r\n{}\r\n", "x".repeat(size))
}

/// Reads an item of this size on the connection. The client remembers its size.
fn read(w: &mut World, n: usize, key: &str, size: usize) {
    w.get(key, 99);
    let t = tokens(&w.written(n))[0];
    w.reply(n, &hit(key, size, t));
    assert!(matches!(w.done()[..], [(99, Ok(Outcome::Item(_)))]));
}

/// Memory of large values is kept for later ones, for a limited time.
#[test]
fn r11_memory_of_large_values_is_freed_when_it_is_not_used() {
    let mut w = one(&["max=1"]);
    w.get("k", 0);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &hit("k", LARGE, t));
    let held = w.done();
    w.wait(SPARE_TIME.mul_f64(4.5));
    drop(held);
    w.wait(SPARE_TIME);
    let buffer = w.client.network.spare_values.take(LARGE);
    assert!(buffer.is_some(), "it was let go of less than SPARE_TIME ago");
    drop(buffer);
    w.wait(SPARE_TIME);
    assert_eq!(w.client.next_timeout(), None, "nothing is left to look at");

    // One that was used, and one that was used no more.
    read(&mut w, 0, "k", LARGE);
    w.wait(SPARE_TIME);
    w.wait(SPARE_TIME);
    assert!(w.client.network.spare_values.take(LARGE).is_none());
    assert_eq!(w.client.next_timeout(), None);

    // A worker that exits does not wait for one that somebody has.
    w.get("k", 1);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &hit("k", LARGE, t));
    let _held = w.done();
    w.client.drain(w.now);
    w.wait(SPARE_TIME);
    assert_eq!(w.client.next_timeout(), None);
}

/// As long as bytes come, only operations are late, and neither the connection nor the server.
#[test]
fn r10_bytes_of_the_awaited_reply_are_progress() {
    let mut w = one(&["max=1"]);
    w.get("k", 0);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    let reply = hit("k", LARGE, t);
    let mut failed = 0;
    for (n, piece) in reply.as_bytes().chunks(LARGE / 20).take(15).enumerate() {
        w.reply(0, std::str::from_utf8(piece).unwrap());
        w.get(&format!("other{n}"), 1);
        w.written(0);
        w.wait(Duration::from_millis(900));
        failed += w.done().len();
    }
    assert!(failed >= 14, "deadlines are kept: {failed}");
    assert_eq!((w.view().state, w.closed.len()), (State::Live, 0));
    // Now nothing comes any more.
    w.wait(Duration::from_millis(99));
    assert!(w.closed.is_empty());
    w.wait(Duration::from_millis(2));
    assert_eq!(w.closed, [w.conn(0)]);
    assert!(matches!(w.events[..], [Event::ConnectionLost { cause: Cause::Overdue, .. }]));
}

/// An operation counts against the server only if nothing has come since its submission.
#[test]
fn r10_who_hangs_is_down_all_the_same() {
    for delivers in [true, false] {
        let mut w = one(&["max=1"]);
        w.get("k", 0);
        w.accept(0);
        let t = tokens(&w.written(0))[0];
        w.reply(0, &format!("VA {LARGE} f0 c1 kk O{t}\r\n"));
        for n in 1..4 {
            w.wait(Duration::from_millis(400));
            w.get("k", n);
            w.written(0);
            if delivers {
                w.wait(Duration::from_millis(400));
                w.reply(0, "x");
            }
        }
        w.wait(Duration::from_millis(1));
        let is_down = !delivers;
        w.wait(Duration::from_millis(if delivers { 0 } else { 1_000 }));
        assert_eq!(w.view().state == State::Down || w.closed.len() == 1, is_down, "delivers: {delivers}");
    }
}

/// A set that is being written makes progress, too, unless the server does not take its bytes.
#[test]
fn r10_bytes_of_the_request_are_progress() {
    for moves in [true, false] {
        let mut w = one(&["max=1"]);
        w.get("warm", 9);
        w.accept(0);
        let t = tokens(&w.written(0))[0];
        w.reply(0, &format!("EN O{t}\r\n"));
        w.set("k", &"x".repeat(LARGE), 1);
        w.write(0, 1_000);
        for _ in 0..8 {
            if moves {
                w.write(0, 1_000);
            }
            w.wait(Duration::from_millis(500));
        }
        assert_eq!(w.closed.is_empty(), moves, "moves: {moves}");
    }
}

/// A get of an item that was large last time counts as large from its submission.
#[test]
fn r10_an_expected_large_reply_is_load() {
    let touch = Some(Ttl::NEVER);
    for verb in [Verb::Get { touch: None }, Verb::Get { touch }] {
        let mut w = one(&["min=2", "max=2"]);
        w.accept(0);
        w.accept(1);
        read(&mut w, 0, "large", LARGE);
        w.submit("large", verb.clone(), 1).unwrap();
        assert!(w.written(0).contains(" large "));
        for n in 2..8 {
            w.get(&format!("small{n}"), n);
        }
        assert_eq!(w.written(1).matches("mg small").count(), 6, "{verb:?}");
    }
}

#[test]
fn r10_a_connection_is_opened_for_those_who_are_behind() {
    let mut w = one(&["max=2"]);
    w.get("warm", 9);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("EN O{t}\r\n"));
    w.done();
    w.set("large", &"x".repeat(LARGE), 0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("HD O{t}\r\n"));
    w.get("large", 1);
    assert!(w.written(0).contains("mg large "));
    w.get("small", 2);
    assert_eq!((w.written(0).len(), w.opened.len(), w.view().queued), (0, 2, 1));
    w.accept(1);
    assert!(w.written(1).contains("mg small "));
}

/// If all connections exist, one is left to small items. An item that is not large any more is remembered as small.
#[test]
fn r10_large_ones_do_not_take_all_connections() {
    let mut w = one(&["min=3", "max=3"]);
    (0..3).for_each(|n| w.accept(n));
    read(&mut w, 0, "large", LARGE);
    for n in 0..20 {
        w.get("large", n);
    }
    let large: Vec<usize> = (0..3).map(|n| w.written(n).matches("mg large ").count()).collect();
    assert_eq!(large, [10, 10, 0]);
    w.get("small", 20);
    assert!(w.written(2).contains("mg small "));
    let mut w = one(&["min=2", "max=2"]);
    (0..2).for_each(|n| w.accept(n));
    read(&mut w, 0, "large", LARGE);
    read(&mut w, 0, "large", 10);
    w.get("large", 1);
    w.get("large", 2);
    assert_eq!(w.written(0).matches("mg large").count(), 2, "in one turn on one connection, as all that is small");
    let mut w = one(&["max=1"]);
    w.get("warm", 9);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("EN O{t}\r\n"));
    w.done();
    read(&mut w, 0, "large", LARGE);
    w.get("large", 1);
    w.get("large", 2);
    assert_eq!(w.written(0).matches("mg large ").count(), 2, "where there is one, that does");
}

/// After a late operation, new ones go to another connection.
#[test]
fn a_connection_that_is_late_is_left_alone() {
    let mut w = one(&["max=2"]);
    w.get("k", 0);
    w.accept(0);
    w.written(0);
    w.wait(Duration::from_secs(1));
    w.get("k", 1);
    assert_eq!(w.opened.len(), 2, "another one is opened");
    w.accept(1);
    w.get("k", 2);
    assert!(w.written(1).contains("mg k "));
}

/// While a large value comes, its operation and those behind it get more time, a limited number of times, and not if
/// the caller has chosen the timeout.
#[test]
fn r10_deadlines_are_put_off_while_a_large_value_comes() {
    let mut w = one(&["max=1"]);
    w.get("large", 0);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("VA {LARGE} f0 c1 klarge O{t}\r\n"));
    w.get("behind", 1);
    let own = Request { key: b"own", verb: Verb::Get { touch: None }, timeout: Some(Duration::from_millis(900)) };
    w.client.submit(own, 2, w.now).map_err(|r| r.error).unwrap();
    w.written(0);
    let start = w.now;
    let mut ended = Vec::new();
    // A byte each 100 ms.
    for _ in 0..150 {
        w.reply(0, "x");
        w.wait(Duration::from_millis(100));
        let after = w.now.since(start).as_millis();
        ended.extend(w.done().into_iter().map(|(n, answer)| (n, after, answer.is_err())));
    }
    assert_eq!(ended, [(2, 900, true), (0, 10_000, true), (1, 10_000, true)]);
    assert_eq!((w.view().state, w.closed.len()), (State::Live, 0));
}

/// Row R14: this many operations behind a slow value cost time in proportion to their number, each time that they get
/// more.
#[test]
fn r14_very_many_share_a_large_item() {
    const MANY: u32 = 50_000;
    let mut config = config(&[&["max=1"]]);
    (config.queue, config.coalesce) = (MANY as usize, true);
    let mut w = world(config);
    (0..MANY).for_each(|n| w.get_or_error("large", n));
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("VA {LARGE} f0 c1 klarge O{t}\r\n"));
    for _ in 0..50 {
        w.reply(0, "x");
        w.wait(Duration::from_millis(100));
    }
    assert!(w.done().is_empty());
    w.reply(0, &format!("{}\r\n", "x".repeat(LARGE - 50)));
    let done = w.done();
    assert!(done.len() == MANY as usize && done.iter().all(|(_, answer)| answer.is_ok()));
}
