//! Lease gets that wait for an item that another client makes.

use std::num::NonZeroU32;

use super::*;
use crate::operation::reply::Lease;

const LEASE: Verb = Verb::Lease { vivify: NonZeroU32::new(30).unwrap(), recache: 0, wait: true };
const VACANT: &str = "VA 0 f0 c5 kk O# Z\r\n\r\n";
const WON: &str = "VA 0 f0 c5 kk O# W\r\n\r\n";
const HIT: &str = "VA 3 f7 c6 kk O#\r\nmoo\r\n";
const STALE: &str = "VA 3 f7 c6 kk O# X Z\r\nmoo\r\n";

fn lost() -> Answer {
    // That it has waited in vain.
    Ok(Outcome::Lease(Lease::Lost { cas: 0, old: None }))
}

fn hit() -> Answer {
    let (_, item) = (0, Item { value: Bytes::from_static(b"moo"), flags: 7, cas: 6 });
    Ok(Outcome::Lease(Lease::Hit(item)))
}

/// Lease gets with these numbers. The server has told all of them that another client makes the item.
fn losers(numbers: &[u32]) -> World {
    let mut w = one(&["max=1"]);
    for &n in numbers {
        w.submit("k", LEASE, n).unwrap();
    }
    w.accept(0);
    assert_eq!(answer(&mut w, VACANT), numbers.len());
    assert_eq!(w.done(), []);
    w
}

/// Answers all lease gets that are written now.
fn answer(w: &mut World, reply: &str) -> usize {
    let out = w.written(0);
    for t in tokens(&out) {
        w.reply(0, &reply.replace('#', &t.to_string()));
    }
    out.matches("mg k v f c k N30").count()
}

/// Waits until the server is asked again. Returns the milliseconds until then.
fn asked_after(w: &mut World, reply: &str) -> u128 {
    let start = w.now;
    loop {
        let next = w.client.next_timeout().unwrap();
        w.wait(next.since(w.now));
        match answer(w, reply) {
            0 => {}
            n => {
                assert_eq!(n, 1, "one for all");
                return w.now.since(start).as_millis();
            }
        }
    }
}

#[test]
fn one_asks_again_for_all_and_less_often_each_time() {
    let mut w = losers(&[1, 2, 3]);
    for pause in [25, 50, 100, 200] {
        let after = asked_after(&mut w, VACANT);
        assert!((pause * 3 / 4..=pause).contains(&after), "{after} ms");
        assert_eq!(w.done(), []);
    }
    asked_after(&mut w, HIT);
    assert_eq!(w.done(), [(2, hit()), (3, hit()), (1, hit())]);
    assert_eq!(w.client.pending(), 0);
    assert!(w.client.lease_waits.is_empty() && w.client.lease_waits.count() == 0);
}

#[test]
fn a_store_of_this_client_is_noticed_at_once() {
    let mut w = losers(&[1, 2]);
    w.set("k", "moo", 3);
    let token = tokens(&w.written(0))[0];
    w.reply(0, &format!("HD O{token}\r\n"));
    assert_eq!(answer(&mut w, HIT), 1, "in the same turn");
    assert_eq!(w.done(), [(3, Ok(Outcome::Done)), (2, hit()), (1, hit())]);
}

/// The winner makes the item. The others continue to wait, and the next one asks.
#[test]
fn who_wins_meanwhile_is_told_so_and_the_others_wait_on() {
    let mut w = losers(&[1, 2, 3]);
    asked_after(&mut w, WON);
    assert!(matches!(w.done()[..], [(1, Ok(Outcome::Lease(Lease::Won { cas: 5, old: None, stale: false })))]));
    asked_after(&mut w, VACANT);
    asked_after(&mut w, HIT);
    assert_eq!(w.done(), [(3, hit()), (2, hit())]);
}

#[test]
fn a_stale_item_is_not_waited_for() {
    let mut w = one(&["max=1"]);
    w.submit("k", LEASE, 1).unwrap();
    w.accept(0);
    answer(&mut w, STALE);
    assert!(matches!(w.done()[..], [(1, Ok(Outcome::Lease(Lease::Lost { cas: 6, old: Some(_) })))]));
    let mut w = losers(&[1, 2]);
    asked_after(&mut w, STALE);
    assert_eq!(w.done().len(), 2);
}

/// At the deadline, the caller learns that it has to make the item itself.
#[test]
fn until_the_deadline() {
    let mut w = losers(&[1, 2]);
    let late = Request { key: b"k", verb: LEASE, timeout: Some(Duration::from_secs(3)) };
    w.client.submit(late, 3, w.now).map_err(|r| r.error).unwrap();
    answer(&mut w, VACANT);
    let deadline = w.now.after(Config::TIMEOUT);
    while w.now < deadline {
        let next = w.client.next_timeout().unwrap().min(deadline);
        w.wait(next.since(w.now));
        answer(&mut w, VACANT);
    }
    assert_eq!(w.done(), [(1, lost()), (2, lost())]);
    assert_eq!(w.view().state, State::Live, "the server is not to blame");
    asked_after(&mut w, HIT);
    assert_eq!(w.done(), [(3, hit())], "the one that is left asks on");
}

#[test]
fn who_asks_may_leave() {
    let mut w = one(&["max=1"]);
    let calls: Vec<CallId> = (0..4).map(|n| w.submit("k", LEASE, n).unwrap()).collect();
    w.accept(0);
    answer(&mut w, VACANT);
    assert_eq!(w.cancel(calls[0]), Some(0), "while it waits");
    w.wait(Duration::from_millis(25));
    assert_eq!(w.cancel(calls[1]), Some(1), "while it asks");
    assert_eq!(w.cancel(calls[3]), Some(3));
    w.written(0);
    asked_after(&mut w, HIT);
    assert_eq!(w.done(), [(2, hit())]);
    assert!(w.client.lease_waits.is_empty() && w.client.lease_waits.count() == 0);
}

#[test]
fn a_server_that_goes_down_meanwhile() {
    let mut w = losers(&[1, 2]);
    w.lose(0, Loss::Error);
    w.wait(Duration::from_millis(25));
    while w.view().state == State::Live {
        let last = w.opened.len() - 1;
        w.lose(last, Loss::Refused);
        w.wait(Duration::from_millis(100));
    }
    w.wait(Duration::from_millis(100));
    assert_eq!(w.done(), [(1, Err(Error::ServerDown)), (2, Err(Error::ServerDown))]);
    assert_eq!(w.client.pending(), 0);
}

/// A lease whose get is cancelled before its caller has seen it is not lost.
#[test]
fn a_win_that_nobody_was_told_of_is_handed_back() {
    let mut w = one(&["max=1"]);
    let call = w.submit("k", LEASE, 1).unwrap();
    w.accept(0);
    answer(&mut w, WON);
    assert_eq!(w.cancel(call), Some(1));
    assert_eq!(w.done(), []);
    assert!(w.written(0).starts_with("md k C5 O"));
}

/// Row R14: at most this many wait. One that gives up leaves room.
#[test]
fn r14_waiting_leases_are_bounded() {
    let mut config = config(&[&["max=1"]]);
    config.queue = 3;
    let mut w = world(config);
    w.get("warm", 90);
    w.accept(0);
    w.written(0);
    let calls: Vec<CallId> = (0..5).map(|n| w.submit("k", LEASE, n).unwrap()).collect();
    let out = w.written(0);
    w.reply(0, &format!("EN O{}\r\n", tokens(&out)[0] - 1));
    for t in tokens(&out) {
        w.reply(0, &VACANT.replace('#', &t.to_string()));
    }
    assert_eq!(w.done(), [(90, Ok(Outcome::Miss)), (3, Err(Error::Busy)), (4, Err(Error::Busy))]);
    assert_eq!((w.client.lease_waits.count(), w.view().stats().limits.queue, w.view().stats().errors.busy), (3, 2, 2));
    w.cancel(calls[1]);
    w.submit("k", LEASE, 5).unwrap();
    answer(&mut w, VACANT);
    assert_eq!((w.done(), w.client.lease_waits.count()), (vec![], 3));
    // The one that asks is not in its own way.
    asked_after(&mut w, VACANT);
    asked_after(&mut w, HIT);
    assert_eq!(w.done(), [(2, hit()), (5, hit()), (0, hit())]);
    assert!(w.client.lease_waits.is_empty() && w.client.lease_waits.count() == 0);
}

#[test]
fn r14_with_a_queue_of_none_nobody_waits() {
    let mut config = config(&[&["min=1"]]);
    config.queue = 0;
    let mut w = world(config);
    w.accept(0);
    w.submit("k", LEASE, 1).unwrap();
    answer(&mut w, VACANT);
    assert_eq!(w.done(), [(1, Err(Error::Busy))]);
    let not_waiting = Verb::Lease { vivify: NonZeroU32::MIN, recache: 0, wait: false };
    w.submit("k", not_waiting, 2).unwrap();
    let t = tokens(&w.written(0))[0];
    w.reply(0, &VACANT.replace('#', &t.to_string()));
    assert_eq!(w.done(), [(2, Ok(Outcome::Lease(Lease::Lost { cas: 5, old: None })))]);
}

/// Row R14: with this many, a search per operation would take far too long, however they end.
#[test]
fn r14_very_many_wait() {
    const MANY: u32 = 50_000;
    let ends: [fn(&mut World, &[CallId]); 4] = [
        |w, _| assert!(asked_after(w, HIT) > 0),
        |w, calls| calls.iter().for_each(|&call| assert!(w.cancel(call).is_some())),
        |w, calls| calls.iter().rev().for_each(|&call| assert!(w.cancel(call).is_some())),
        |w, _| w.wait(Duration::from_secs(1)),
    ];
    for end in ends {
        let mut config = config(&[&["max=1"]]);
        (config.queue, config.pipeline) = (MANY as usize, 8_000);
        let mut w = world(config);
        let calls: Vec<CallId> = (0..MANY).map(|n| w.submit("k", LEASE, n).unwrap()).collect();
        w.accept(0);
        assert_eq!(answer(&mut w, VACANT), calls.len());
        assert_eq!(w.client.lease_waits.count(), calls.len());
        end(&mut w, &calls);
        w.done();
        assert!(w.client.lease_waits.is_empty() && w.client.lease_waits.count() == 0 && w.client.pending() == 0);
    }
}
