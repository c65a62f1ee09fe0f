//! A client of nginx that asks for many items and disconnects does not delay others.

use super::*;
use crate::limits::BULK;

const ITEM: usize = 60_000;

/// A server with one connection, and later replies that no operation waits for.
fn alone() -> World {
    let mut w = one(&["max=1"]);
    w.get("warm", 99);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("EN O{t}\r\n"));
    w.done();
    w
}

fn many(w: &mut World, keys: usize) -> CallId {
    let keys: Vec<String> = (0..keys).map(|n| format!("large{n}")).collect();
    let keys = keys.iter().map(String::as_bytes);
    w.client.submit_many(Subset::ALL, keys, None, None, 7, w.now).map_err(|rejected| rejected.error).unwrap()
}

/// The server answers these requests with items of this size.
fn answer(w: &mut World, requests: &str, size: usize) {
    for request in requests.split_terminator("\r\n").filter(|line| line.starts_with("mg ")) {
        let (key, token) = (request.split(' ').nth(1).unwrap(), tokens(request)[0]);
        w.reply(0, &format!("VA {size} f0 c1 k{key} O{token}\r\n{}\r\n", "x".repeat(size)));
    }
}

fn gets(written: &str) -> usize {
    written.matches("mg ").count()
}

/// From now on, a client asks for many items of this size and disconnects after they were requested.
fn desert(w: &mut World, keys: usize, size: usize) {
    let call = many(w, keys);
    let written = w.written(0);
    assert_eq!(gets(&written), keys, "at first, all are sent");
    w.cancel(call);
    answer(w, &written, size);
}

/// The attack: one client after the other asks for many items and disconnects.
#[test]
fn a_small_get_is_not_behind_what_nobody_waits_for() {
    let mut w = alone();
    desert(&mut w, 1000, ITEM);
    for _ in 0..50 {
        let call = many(&mut w, 100);
        let written = w.written(0);
        assert!((1..=8).contains(&gets(&written)), "{} are sent", gets(&written));
        w.get("small", 1);
        assert_eq!(w.written(0), "", "it is behind these");
        w.cancel(call);
        answer(&mut w, &written, ITEM);
        let written = w.written(0);
        assert!(written.starts_with("mg small ") && gets(&written) == 1, "and not behind those that were not sent");
        answer(&mut w, &written, 10);
        assert!(matches!(w.done()[..], [(1, Ok(_))]));
    }
    assert_eq!((w.view().pending, w.closed.len()), (0, 0));
}

/// An operation that was never sent leaves nothing: neither bytes on the connection nor a pending reply.
#[test]
fn what_is_given_up_before_it_is_sent_is_gone() {
    let mut w = alone();
    desert(&mut w, 1000, ITEM);
    for _ in 0..100 {
        let call = many(&mut w, 1000);
        w.written(0);
        assert!(w.view().pending >= 1000);
        w.cancel(call);
        assert!(w.view().pending <= 8, "{} are left", w.view().pending);
    }
}

/// The most requests, all for small items: once they are read, nothing is held back.
#[test]
fn small_items_for_nobody_hold_nothing_back() {
    let mut w = alone();
    for _ in 0..5 {
        desert(&mut w, 1024, 100);
    }
}

/// Before the first reply, the size of the items is unknown. The client then requests no more of them than were under
/// way when the first operations were given up.
#[test]
fn what_is_not_known_yet_is_not_asked_for_without_end() {
    let mut w = one(&["min=2", "max=2"]);
    w.accept(0);
    w.accept(1);
    let call = many(&mut w, 300);
    let sent = [gets(&w.written(0)), gets(&w.written(1))];
    assert_eq!(sent.iter().sum::<usize>(), 300);
    w.cancel(call);
    for _ in 0..10 {
        let call = many(&mut w, 300);
        assert_eq!((gets(&w.written(0)), gets(&w.written(1))), (0, 0));
        w.cancel(call);
    }
    assert_eq!(w.view().pending, 300);
    // They are gone with their connections.
    w.lose(0, Loss::Error);
    w.lose(1, Loss::Error);
    w.get("small", 1);
    w.accept(2);
    assert!(w.written(2).starts_with("mg small "));
    many(&mut w, 300);
    assert!(gets(&w.written(2)) >= 128);
}

/// A connection knows what the others have seen, and waits for requests under way on them.
#[test]
fn all_connections_know_what_one_has_seen() {
    let mut w = alone();
    desert(&mut w, 1000, ITEM);
    w.configure(|old| old.servers = config(&[&["max=8"]]).servers);
    let calls: Vec<CallId> = (0..10).map(|_| many(&mut w, 200)).collect();
    assert!(gets(&w.written(0)) <= 8);
    w.accept(1);
    assert_eq!(gets(&w.written(1)), 1, "one is always sent");
    for call in calls {
        w.cancel(call);
    }
}

/// Requests whose replies are wanted are not held back.
#[test]
fn what_is_wanted_is_sent_at_once() {
    let mut w = alone();
    for _ in 0..4 {
        many(&mut w, 1000);
        let written = w.written(0);
        assert_eq!(gets(&written), 1000);
        answer(&mut w, &written, ITEM);
        assert!(matches!(&w.done()[..], [(7, Ok(Outcome::Many(parts)))] if parts.len() == 1000));
    }
}

/// One in a hundred is given up.
#[test]
fn a_few_who_leave_are_nothing() {
    let mut w = alone();
    for n in 0..500 {
        let call = w.get("large", 1);
        let written = w.written(0);
        if n % 100 == 0 {
            w.cancel(call);
        }
        answer(&mut w, &written, 10_000);
    }
    many(&mut w, 200);
    assert_eq!(gets(&w.written(0)), 200);
}

#[test]
fn all_is_sent_at_once_again_when_it_is_wanted_again() {
    let mut w = alone();
    desert(&mut w, 1000, ITEM);
    let mut sent = Vec::new();
    for _ in 0..60 {
        many(&mut w, 100);
        let mut written = w.written(0);
        sent.push(gets(&written));
        while !written.is_empty() {
            answer(&mut w, &written, ITEM);
            written = w.written(0);
        }
        assert!(matches!(&w.done()[..], [(7, Ok(Outcome::Many(parts)))] if parts.iter().all(|p| p.answer.is_ok())));
    }
    assert!(sent[0] <= 8 && sent[59] == 100, "{sent:?}");
}

/// Writes are sent in order with all other requests. A write that was not sent is not reported as applied.
#[test]
fn writes_are_held_back_in_their_order() {
    let mut w = alone();
    desert(&mut w, 1000, ITEM);
    let call = many(&mut w, 100);
    let written = w.written(0);
    let touched = w.submit("k", Verb::Get { touch: Some(Ttl::NEVER) }, 1).unwrap();
    w.set("k", "first", 2);
    w.get("k", 3);
    let count = Verb::Count { direction: crate::Direction::Incr, delta: 1, initial: None, cas: 0 };
    w.submit("n", count, 4).unwrap();
    assert_eq!(w.written(0), "");
    w.cancel(touched);
    w.cancel(call);
    answer(&mut w, &written, ITEM);
    let written = w.written(0);
    let lines: Vec<&str> = written.split("\r\n").filter_map(|line| line.get(..4)).collect();
    assert_eq!(lines, ["ms k", "firs", "mg k", "ma n"]);
    let call = many(&mut w, 100);
    w.set("k", "second", 5);
    w.written(0);
    w.wait(Duration::from_secs(1));
    let done = w.done();
    assert!(done.contains(&(2, Err(Error::Timeout { maybe_applied: true }))));
    assert!(done.contains(&(5, Err(Error::Timeout { maybe_applied: false }))), "{done:?}");
    assert_eq!(w.cancel(call), None, "it is late, too");
}

/// A request that was held back when its connection ended counts as not sent.
#[test]
fn what_is_held_back_survives_its_connection() {
    let mut w = alone();
    desert(&mut w, 1000, ITEM);
    let call = many(&mut w, 100);
    w.written(0);
    w.set("k", "v", 1);
    w.cancel(call);
    w.lose(0, Loss::Error);
    assert_eq!(w.done(), []);
    w.accept(1);
    assert!(w.written(1).starts_with("ms k "));
}

/// Items that are known to be large: enough are requested to keep a link busy, and no more.
#[test]
fn known_large_items_are_asked_for_by_and_by() {
    const LARGE: usize = 1_000_000;
    let mut w = one(&["max=1"]);
    w.configure(|config| config.max_value = LARGE);
    w.get("large0", 1);
    w.accept(0);
    let written = w.written(0);
    answer(&mut w, &written, LARGE);
    w.done();
    let calls: Vec<CallId> = (0..50).map(|n| w.get("large0", n)).collect();
    let written = w.written(0);
    assert_eq!(gets(&written), 5);
    w.get("small", 50);
    for call in calls {
        w.cancel(call);
    }
    assert_eq!(w.view().pending, 51, "it is behind these");
    answer(&mut w, &written, LARGE);
    assert!(w.written(0).starts_with("mg small "));
    assert_eq!(w.view().pending, 1);
}

/// The client learns from an unwanted reply, too, that an item is large.
#[test]
fn what_nobody_waits_for_is_known_to_be_large() {
    for binary in [false, true] {
        let key = if binary { "large key" } else { "largekey" };
        let mut w = one(&["min=2", "max=2"]);
        w.accept(0);
        w.accept(1);
        let call = w.get(key, 1);
        let request = w.written(0);
        w.cancel(call);
        let (named, t) = (request.split(' ').nth(1).unwrap().to_owned(), tokens(&request)[0]);
        let b = if binary { " b" } else { "" };
        w.reply(0, &format!("VA {} f0 c1 k{named}{b} O{t}\r\n{}\r\n", BULK + 1, "x".repeat(BULK + 1)));
        w.get(key, 2);
        w.get("small", 3);
        assert_eq!((gets(&w.written(0)), gets(&w.written(1))), (1, 1), "{key}");
    }
}

/// An operation that is cancelled in the same turn was never sent, wherever it is in the order.
#[test]
fn what_nobody_has_sent_yet_leaves_no_trace() {
    let mut w = alone();
    let calls: Vec<CallId> = (0..10).map(|n| w.get(&format!("k{n}"), n)).collect();
    for n in [9, 3, 8, 0, 1] {
        w.cancel(calls[n]);
    }
    assert_eq!(w.view().pending, 6, "one is between others");
    w.get("last", 10);
    let written = w.written(0);
    let keys: Vec<&str> = written.split(' ').filter(|word| word.starts_with(['k', 'l']) && word.len() > 1).collect();
    assert_eq!(keys, ["k2", "k4", "k5", "k6", "k7", "last"]);
    answer(&mut w, &written, 3);
    assert_eq!(w.done().iter().map(|(n, _)| *n).collect::<Vec<_>>(), [2, 4, 5, 6, 7, 10]);
    assert_eq!((w.view().pending, w.view().idle), (0, 1));
}
