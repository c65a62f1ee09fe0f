//! Leases, and how a lease that cannot be used is handed back.

use std::num::NonZeroU32;

use super::*;
use crate::operation::reply::Lease;

const LEASE: Verb = Verb::Lease { vivify: NonZeroU32::new(30).unwrap(), recache: 10, wait: false };
const GET: Verb = Verb::Get { touch: None };

fn ready() -> World {
    let mut w = one(&["max=1"]);
    w.get("warm", 0);
    w.accept(0);
    let token = tokens(&w.written(0))[0];
    w.reply(0, &format!("EN kwarm O{token}\r\n"));
    w.done();
    w
}

/// Submits the operation on "k" and answers it. Returns its answer, and the requests that follow.
fn exchange(w: &mut World, verb: Verb, reply: &str) -> (Answer, String) {
    w.submit("k", verb, 1).unwrap();
    let token = tokens(&w.written(0))[0].to_string();
    w.reply(0, &reply.replace('#', &token));
    let (_, answer) = w.done().pop().unwrap();
    (answer, w.written(0))
}

fn old(value: &str, cas: u64) -> Item {
    Item { value: Bytes::copy_from_slice(value.as_bytes()), flags: 7, cas }
}

#[test]
fn asks_for_a_lease() {
    let mut w = ready();
    w.submit("k", LEASE, 1).unwrap();
    let out = w.written(0);
    assert_eq!(out, format!("mg k v f c k N30 R10 O{}\r\n", tokens(&out)[0]));
    let whole_month = Verb::Lease { vivify: NonZeroU32::MAX, recache: 0, wait: false };
    w.submit("k", whole_month, 2).unwrap();
    let out = w.written(0);
    assert_eq!(out, format!("mg k v f c k N2592000 O{}\r\n", tokens(&out)[0]));
}

/// Replies of memcached 1.6.18, with the marks in both orders.
#[test]
fn wins_and_losses_are_types() {
    let cases = [
        ("VA 3 f7 c5 kk O#\r\nmoo\r\n", Lease::Hit(old("moo", 5))),
        ("VA 0 f0 c5 kk O#\r\n\r\n", Lease::Hit(Item { value: Bytes::new(), flags: 0, cas: 5 })),
        ("VA 0 f0 c5 kk O# W\r\n\r\n", Lease::Won { cas: 5, old: None, stale: false }),
        ("VA 0 f0 c5 kk O# Z\r\n\r\n", Lease::Lost { cas: 5, old: None }),
        ("VA 3 f7 c5 kk O# W\r\nmoo\r\n", Lease::Won { cas: 5, old: Some(old("moo", 5)), stale: false }),
        ("VA 3 f7 c5 kk O# Z\r\nmoo\r\n", Lease::Hit(old("moo", 5))),
        ("VA 3 f7 c5 kk O# X W\r\nmoo\r\n", Lease::Won { cas: 5, old: Some(old("moo", 5)), stale: true }),
        ("VA 3 f7 c5 kk O# W X\r\nmoo\r\n", Lease::Won { cas: 5, old: Some(old("moo", 5)), stale: true }),
        ("VA 3 f7 c5 kk O# Z X\r\nmoo\r\n", Lease::Lost { cas: 5, old: Some(old("moo", 5)) }),
        ("VA 0 f0 c5 kk O# Z X\r\n\r\n", Lease::Lost { cas: 5, old: None }),
    ];
    let mut w = ready();
    for (reply, expected) in cases {
        let (answer, after) = exchange(&mut w, LEASE, reply);
        assert_eq!((answer, after.as_str()), (Ok(Outcome::Lease(expected)), ""), "{reply}");
    }
    let stats = w.view().stats();
    // One of the misses is that of the first get.
    assert_eq!((stats.operations.lease, stats.hits, stats.misses), (10, 7, 1 + 3));
}

/// memcached gives the lease to the first request, even to a plain get.
#[test]
fn those_who_did_not_ask_for_a_lease_hand_it_back() {
    let touch = Verb::Touch { ttl: Ttl::NEVER };
    let cases = [
        (GET, "VA 3 f7 c5 kk O# X W\r\nmoo\r\n", "md k I C5 O#\r\n"),
        (Verb::Get { touch: Some(Ttl::NEVER) }, "VA 3 f7 c5 t-1 kk O# W X\r\nmoo\r\n", "md k I T0 C5 O#\r\n"),
        (touch, "HD s3 c5 t9 kk O# X W\r\n", "md k I T9 C5 O#\r\n"),
        (GET, "VA 3 f7 c5 kk O# X Z\r\nmoo\r\n", ""),
        (GET, "VA 0 f0 c5 kk O# Z\r\n\r\n", ""),
    ];
    let mut w = ready();
    for (verb, reply, expected) in cases {
        let (answer, after) = exchange(&mut w, verb.clone(), reply);
        assert_eq!(answer, Ok(Outcome::Miss), "what is stale, or not there yet, is missing: {verb:?} {reply}");
        let token = tokens(&after).first().map(u32::to_string).unwrap_or_default();
        assert_eq!(after, expected.replace('#', &token), "{verb:?} {reply}");
        if !token.is_empty() {
            assert_eq!(w.client.pending(), 0, "it keeps no worker");
            w.reply(0, &format!("HD O{token}\r\n"));
        }
        assert_eq!(w.client.pending(), 0, "nobody is told of it");
        assert_eq!(w.done(), []);
    }
    let (answer, after) = exchange(&mut w, Verb::Inspect, "HD s3 f0 c5 t9 h0 l0 kk O# X W\r\n");
    assert!(matches!(answer, Ok(Outcome::Metadata(Metadata { stale: true, leased: true, .. }))), "{answer:?}");
    assert!(after.starts_with("md k I C5 O"), "{after}");
}

/// memcached also touches items that are a miss for the client.
#[test]
fn what_was_touched_and_is_not_there_lives_as_long_as_before() {
    let gat = || Verb::Get { touch: Some(Ttl::secs(60, 0)) };
    let touch = || Verb::Touch { ttl: Ttl::secs(60, 0) };
    let cases = [
        (gat(), "VA 0 f0 c5 t7 kk O# Z\r\n\r\n", "mg k s c t k T7 O#\r\n"),
        (gat(), "VA 3 f0 c5 t7 kk O# Z X\r\nmoo\r\n", "mg k s c t k T7 O#\r\n"),
        (touch(), "HD s3 c5 t-1 kk O# Z X\r\n", "mg k s c t k T0 O#\r\n"),
        // 0 would be for ever, and more than 30 days a moment.
        (touch(), "HD s3 c5 t0 kk O# Z X\r\n", "mg k s c t k T1 O#\r\n"),
        (touch(), "HD s0 c5 t2592001 kk O# Z\r\n", "mg k s c t k T2592000 O#\r\n"),
        // No lease is for ever: another touch has come between.
        (touch(), "HD s0 c5 t-1 kk O# Z\r\n", "mg k s c t k T60 O#\r\n"),
        (gat(), "VA 0 f0 c5 t-1 kk O# Z\r\n\r\n", "mg k s c t k T60 O#\r\n"),
        (gat(), "VA 3 f0 c5 t7 kk O# X W\r\nmoo\r\n", "md k I T7 C5 O#\r\n"),
    ];
    for (verb, reply, expected) in cases {
        let mut w = ready();
        let (answer, after) = exchange(&mut w, verb.clone(), reply);
        assert_eq!(answer, Ok(Outcome::Miss), "{verb:?} {reply}");
        let token = tokens(&after)[0];
        assert_eq!(after, expected.replace('#', &token.to_string()), "{verb:?} {reply}");
        assert_eq!(w.client.pending(), 0, "it keeps no worker");
        w.reply(0, &format!("HD s0 c5 t60 kk O{token} Z\r\n"));
        assert_eq!((w.written(0).as_str(), w.done()), ("", vec![]));
        assert!(w.closed.is_empty());
        assert_eq!(w.view().stats().operations.touch, u64::from(verb == touch()));
    }
    // What is there for whoever has touched it is as that says.
    for (verb, reply) in [
        (gat(), "VA 3 f0 c5 t7 kk O#\r\nmoo\r\n"),
        (gat(), "VA 0 f0 c5 t7 kk O#\r\n\r\n"),
        // Somebody makes it anew before it expires.
        (gat(), "VA 3 f0 c5 t7 kk O# Z\r\nmoo\r\n"),
        (touch(), "HD s3 c5 t7 kk O#\r\n"),
        (touch(), "HD s0 c5 t7 kk O#\r\n"),
        (touch(), "EN kk O#\r\n"),
        // Nothing was touched.
        (GET, "VA 0 f0 c5 t7 kk O# Z\r\n\r\n"),
        (Verb::Inspect, "HD s0 f0 c5 t7 h0 l0 kk O# Z\r\n"),
        (LEASE, "VA 0 f0 c5 t7 kk O# Z\r\n\r\n"),
    ] {
        let (_, after) = exchange(&mut ready(), verb.clone(), reply);
        assert_eq!(after, "", "{verb:?} {reply}");
    }
}

/// Also if no operation waits. If the item was made meanwhile, its life is set back to the one that it was stored with.
/// A server cannot keep the client busy in this way (R47).
#[test]
fn r47_a_life_is_set_back_twice_at_most() {
    for last in ["HD s3 c7 t7 kk O#\r\n", "HD s0 c7 t7 kk O# Z\r\n", "EN kk O#\r\n"] {
        let mut w = ready();
        let call = w.submit("k", Verb::Touch { ttl: Ttl::secs(60, 0) }, 1).unwrap();
        let token = tokens(&w.written(0))[0];
        w.cancel(call);
        let mut answer = format!("HD s0 c5 t7 kk O{token} Z\r\n");
        for life in [7, 900] {
            w.reply(0, &answer);
            let asked = w.written(0);
            let token = tokens(&asked)[0];
            assert_eq!(asked, format!("mg k s c t k T{life} O{token}\r\n"));
            answer = format!("HD s3 c6 t900 kk O{token}\r\n");
        }
        w.reply(0, &last.replace('#', answer.rsplit('O').next().unwrap().trim_end()));
        assert_eq!(w.written(0), "", "{last}");
        assert_eq!((w.view().stats().handed_back, w.client.pending()), (2, 0));
        assert!(w.closed.is_empty());
    }
    // It was marked once more, and who sets it back is given the lease: that is handed back, and that is all.
    let mut w = ready();
    let (_, first) = exchange(&mut w, Verb::Touch { ttl: Ttl::NEVER }, "HD s0 c5 t7 kk O# Z\r\n");
    w.reply(0, &format!("HD s3 c6 t9 kk O{} W X\r\n", tokens(&first)[0]));
    let mark = w.written(0);
    let token = tokens(&mark)[0];
    assert_eq!(mark, format!("md k I T9 C6 O{token}\r\n"));
    w.reply(0, &format!("HD O{token} W X c7\r\n"));
    assert_eq!(w.written(0), "");
}

#[test]
fn a_lease_that_comes_too_late_is_handed_back() {
    for (reply, expected) in [
        ("VA 0 f0 c5 kk O# W\r\n\r\n", "md k C5 O#\r\n"),
        ("VA 3 f7 c5 kk O# W X\r\nmoo\r\n", "md k I C5 O#\r\n"),
        ("VA 0 f7 c5 kAGs= b O# W\r\n\r\n", "md AGs= b C5 O#\r\n"),
        ("VA 3 f7 c5 kk O# W\r\nmoo\r\n", ""),
        ("VA 3 f7 c5 kk O#\r\nmoo\r\n", ""),
        // Stored by somebody who sends all keys encoded.
        ("VA 0 f0 c5 kaw== b O# W\r\n\r\n", "md k C5 O#\r\n"),
        // Named as it is, as memcached does with an item that it has made (R1).
        ("VA 0 f7 c5 k\0k O# W\r\n\r\n", "md AGs= b C5 O#\r\n"),
        // Not a key that can have been asked for.
        ("VA 0 f0 c5 k== b O# W\r\n\r\n", ""),
    ] {
        let mut w = ready();
        let key = if reply.contains("kAGs=") || reply.contains('\0') { "\0k" } else { "k" };
        let call = w.submit(key, LEASE, 1).unwrap();
        let token = tokens(&w.written(0))[0].to_string();
        assert_eq!(w.cancel(call), Some(1));
        w.reply(0, &reply.replace('#', &token));
        assert_eq!(w.done(), []);
        let after = w.written(0);
        let token = tokens(&after).first().map(u32::to_string).unwrap_or_default();
        assert_eq!(after, expected.replace('#', &token), "{reply}");
        assert!(w.closed.is_empty());
    }
}

/// The old value is too large to be delivered, so the caller does not get the lease.
#[test]
fn a_lease_on_too_large_an_item_is_handed_back() {
    let mut config = config(&[&["max=1"]]);
    config.max_value = 2;
    let mut w = world(config);
    w.submit("k", LEASE, 1).unwrap();
    w.accept(0);
    let token = tokens(&w.written(0))[0];
    w.reply(0, &format!("VA 3 f7 c5 kk O{token} W X\r\nmoo\r\n"));
    assert_eq!(w.done(), [(1, Err(Error::TooLarge { size: 3, limit: 2 }))]);
    assert!(w.written(0).starts_with("md k I C5 O"));
}

/// A lease get may already have the lease: it is not sent again, as its second try would lose against its first.
#[test]
fn a_lease_get_is_not_repeated() {
    let mut w = ready();
    w.submit("k", LEASE, 1).unwrap();
    w.submit("k", GET, 2).unwrap();
    w.written(0);
    w.lose(0, Loss::Error);
    assert_eq!(w.done(), [(1, Err(Error::Unknown { maybe_applied: true }))]);
    assert_eq!(w.view().queued, 1, "a get is");
}

/// A server must not be able to keep the client busy: a lease in the reply to a hand-back does not count, nor does one
/// in any other reply that brings no item (R47).
#[test]
fn r47_a_lease_comes_only_with_the_answer_to_a_lookup() {
    let mut w = ready();
    w.submit("k", GET, 1).unwrap();
    let token = tokens(&w.written(0))[0];
    w.reply(0, &format!("VA 3 f0 c7 kk W X O{token}\r\nabc\r\n"));
    assert_eq!(w.done(), [(1, Ok(Outcome::Miss))]);
    let back = w.written(0);
    let token = tokens(&back)[0];
    assert_eq!(back, format!("md k I C7 O{token}\r\n"));
    for _ in 0..3 {
        w.reply(0, &format!("HD O{token} W X c7 kk\r\n"));
        assert_eq!(w.written(0), "", "one lease, one hand-back");
        if !w.closed.is_empty() {
            break;
        }
    }
    assert_eq!(w.view().stats().handed_back, 1);

    let incr = Verb::Count { direction: crate::Direction::Incr, delta: 1, initial: None, cas: 0 };
    let others = [
        (Verb::Delete { cas: 0 }, "HD"),
        (Verb::Delete { cas: 3 }, "EX"),
        (Verb::Invalidate { ttl: None, cas: 0 }, "HD"),
        (set("v"), "HD"),
        (set("v"), "NS"),
        (incr, "NF"),
        (GET, "EN"),
    ];
    for (verb, code) in others {
        let mut w = ready();
        w.submit("k", verb.clone(), 1).unwrap();
        let token = tokens(&w.written(0))[0];
        w.reply(0, &format!("{code} O{token} W X c7 kk\r\n"));
        let after = w.written(0);
        assert_eq!(after, "", "{verb:?}");
    }
}

/// A worker that exits waits for the operations of siblings, and not for internal ones.
#[test]
fn r47_a_hand_back_keeps_no_worker() {
    let mut w = ready();
    w.submit("k", GET, 1).unwrap();
    let token = tokens(&w.written(0))[0];
    w.client.drain(w.now);
    w.reply(0, &format!("VA 3 f0 c7 kk W X O{token}\r\nabc\r\n"));
    assert_eq!(w.client.pending(), 1, "it has not been told yet");
    w.done();
    assert_eq!(w.client.pending(), 0);
    assert!(w.written(0).starts_with("md k I C7"), "it is sent all the same");
    // What becomes of it is counted once.
    w.wait(Duration::from_secs(3));
    assert_eq!((w.client.pending(), w.view().stats().errors.timeout), (0, 0));
}

/// Before 1.6.13, a delete with a version answers that the version differs, and has no effect (R2).
#[test]
fn r2_deletes_of_a_version_are_refused_where_they_are_not_known() {
    let deletes = [Verb::Delete { cas: 5 }, Verb::Invalidate { ttl: None, cas: 5 }];
    for (version, known) in [("1.6.10", false), ("1.6.12", false), ("1.6.13", true), ("1.6.45", true), ("clone", true)]
    {
        for verb in &deletes {
            let mut w = one(&["max=1"]);
            // In front of the first connection nobody knows.
            w.submit("k", verb.clone(), 1).unwrap();
            w.submit("k", GET, 2).unwrap();
            w.await_open(0);
            w.greet(0, version);
            let sent = w.written(0);
            assert_eq!(sent.contains("md "), known, "{version}: {sent}");
            assert!(sent.contains("mg k "));
            if known {
                continue;
            }
            let reason = "server 10.0.0.0:11211 is memcached before 1.6.13: it does not compare versions on delete";
            assert_eq!(w.done(), [(1, Err(Error::Unsupported(reason.into())))]);
            assert_eq!(w.view().queued, 0);
            w.submit("k", verb.clone(), 3).unwrap();
            assert_eq!(w.done(), [(3, Err(Error::Unsupported(reason.into())))], "and behind it everybody");
            assert_eq!(w.view().stats().errors.unsupported, 2);
            // Nor is a lease handed back, by what would mean somebody else's item.
            let token = tokens(&sent)[0];
            w.reply(0, &format!("VA 3 f0 c7 kk W X O{token}\r\nabc\r\n"));
            assert_eq!(w.done(), [(2, Ok(Outcome::Miss))]);
            assert_eq!(w.written(0), "");
            assert_eq!((w.client.pending(), w.view().stats().handed_back), (0, 0));
            // What was touched lives as long as before all the same.
            let (_, after) = exchange(&mut w, Verb::Touch { ttl: Ttl::NEVER }, "HD s3 c7 t9 kk O# W X\r\n");
            let token = tokens(&after)[0];
            assert_eq!(after, format!("mg k s c t k T9 O{token}\r\n"));
            w.reply(0, &format!("HD s3 c7 t-1 kk O{token} Z X\r\n"));
            assert_eq!(w.written(0), "");
            // Without a version they are what they are everywhere.
            w.submit("k", Verb::Delete { cas: 0 }, 4).unwrap();
            assert!(w.written(0).starts_with("md k O"));
        }
    }
}
