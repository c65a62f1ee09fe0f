//! Equal gets in one exchange.

use super::*;

fn sharing() -> World {
    let mut config = config(&[&["max=1"]]);
    config.coalesce = true;
    world(config)
}

fn gets(out: &str) -> usize {
    out.matches("mg k ").count()
}

#[test]
fn one_exchange_for_all_that_are_under_way() {
    let mut w = sharing();
    for n in 0..5 {
        w.get("k", n);
    }
    w.get("other", 5);
    w.accept(0);
    let out = w.written(0);
    assert_eq!(gets(&out), 1, "{out}");
    w.get("k", 6);
    assert_eq!(w.written(0), "", "also while its answer is awaited");
    let t = tokens(&out);
    w.reply(0, &format!("VA 3 f7 c9 kk O{}\r\nmoo\r\n", t[0]));
    let answers = w.done();
    assert_eq!(answers.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2, 3, 4, 6, 0]);
    assert!(answers.iter().all(|(_, answer)| *answer == item("moo", 7, 9)));
    assert_eq!((w.view().stats().coalesced, w.view().stats().operations.get, w.view().stats().hits), (5, 7, 6));
    w.get("k", 7);
    assert_eq!(gets(&w.written(0)), 1, "what comes later asks anew");
    assert_eq!(w.client.exchanges.len().0, 2);
}

#[test]
fn off_unless_it_is_wanted() {
    let mut w = one(&["max=1"]);
    w.get("k", 1);
    w.get("k", 2);
    w.accept(0);
    assert_eq!(gets(&w.written(0)), 2);
    assert!(w.client.exchanges.len().0 == 0);
}

/// A get after a write must see the write: it does not join an exchange from before it.
#[test]
fn a_get_behind_a_write_asks_anew() {
    let ttl = Ttl::NEVER;
    let writes = [
        set("v"),
        Verb::Delete { cas: 0 },
        Verb::Touch { ttl },
        Verb::Get { touch: Some(ttl) },
        Verb::Invalidate { ttl: None, cas: 0 },
        Verb::Count { direction: crate::Direction::Incr, delta: 1, initial: None, cas: 0 },
    ];
    for write in writes {
        let mut w = sharing();
        w.get("k", 1);
        w.submit("k", write.clone(), 2).unwrap();
        w.get("k", 3);
        w.get("k", 4);
        w.accept(0);
        let out = w.written(0);
        let plain = out.lines().filter(|line| line.starts_with("mg k v f c k O")).count();
        assert_eq!(plain, 2, "{write:?}: {out}");
        assert_eq!(w.view().stats().coalesced, 1, "{write:?}: the last one shares that of the one before it");
    }
    let mut w = sharing();
    w.get("k", 1);
    w.client.submit_to(0, ServerVerb::FlushAll { delay: 0 }, None, 2, w.now).unwrap();
    w.get("k", 3);
    assert_eq!(w.view().stats().coalesced, 0);
}

/// The leader gives up, in the queue, before it is written, or after. A follower still gets its answer.
#[test]
fn who_leads_may_leave() {
    for stage in 0..3 {
        for late in [false, true] {
            let mut w = sharing();
            let timeout = Some(Duration::from_millis(50));
            let request = Request { key: b"k", verb: Verb::Get { touch: None }, timeout };
            if stage > 0 {
                w.get("warm", 9);
                w.accept(0);
                let t = tokens(&w.written(0))[0];
                w.reply(0, &format!("EN O{t}\r\n"));
                w.done();
            }
            let leader = w.client.submit(request, 1, w.now).map_err(|r| r.error).unwrap();
            w.outputs();
            let second = w.get("k", 2);
            w.get("k", 3);
            let mut out = if stage == 2 { w.written(0) } else { String::new() };
            if late {
                w.wait(Duration::from_millis(50));
                assert_eq!(w.done(), [(1, Err(Error::Timeout { maybe_applied: false }))]);
            } else {
                assert_eq!(w.cancel(leader), Some(1));
            }
            assert_eq!(w.cancel(second), Some(2), "and so may its heir");
            w.get("k", 4);
            if stage == 0 {
                w.accept(0);
            }
            out += &w.written(0);
            assert_eq!(gets(&out), 1, "stage {stage}, late: {late}: {out}");
            w.reply(0, &format!("EN kk O{}\r\n", tokens(&out)[0]));
            assert_eq!(w.done(), [(4, Ok(Outcome::Miss)), (3, Ok(Outcome::Miss))]);
            assert_eq!(w.client.pending(), 0);
            assert!(w.client.exchanges.len().0 == 0, "nothing is left behind");
            assert_eq!((w.view().pending, w.view().queued), (0, 0));
        }
    }
}

#[test]
fn those_who_follow_are_late_on_their_own() {
    let mut w = sharing();
    w.get("k", 1);
    let request = Request { key: b"k", verb: Verb::Get { touch: None }, timeout: Some(Duration::from_millis(20)) };
    w.client.submit(request, 2, w.now).map_err(|r| r.error).unwrap();
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.wait(Duration::from_millis(20));
    assert_eq!(w.done(), [(2, Err(Error::Timeout { maybe_applied: false }))]);
    assert_eq!(w.view().state, State::Live);
    w.reply(0, &format!("EN kk O{t}\r\n"));
    assert_eq!(w.done(), [(1, Ok(Outcome::Miss))]);
}

#[test]
fn errors_and_second_tries_are_shared_too() {
    let mut w = sharing();
    w.get("k", 1);
    w.get("k", 2);
    w.accept(0);
    w.written(0);
    w.lose(0, Loss::Error);
    assert!(w.done().is_empty(), "asked again");
    w.get("k", 3);
    w.accept(1);
    assert_eq!(gets(&w.written(1)), 1);
    w.lose(1, Loss::Error);
    let unknown = || Err(Error::Unknown { maybe_applied: false });
    assert_eq!(w.done(), [(2, unknown()), (3, unknown()), (1, unknown())]);
    assert_eq!(w.client.pending(), 0);
}

#[test]
fn so_many_share_and_no_more() {
    let mut config = config(&[&["max=1"]]);
    (config.coalesce, config.queue) = (true, 3);
    let mut w = world(config);
    w.get("warm", 9);
    w.accept(0);
    w.written(0);
    for n in 0..6 {
        w.get("k", n);
    }
    assert_eq!(gets(&w.written(0)), 2, "one, with three that follow, and one with one");
}

#[test]
fn gets_that_are_cancelled_leave_nothing() {
    let mut w = sharing();
    for n in 0..1_000 {
        let call = w.get(&format!("k{n}"), n);
        w.cancel(call);
    }
    assert!(w.client.exchanges.len().0 == 0);
}

/// If the leader was moved to another server, its followers move with it.
#[test]
fn the_heir_of_a_leader_that_moved_is_where_that_was() {
    let mut config = config(&[&["max=1"], &["max=1"]]);
    (config.coalesce, config.failover) = (true, crate::config::Failover::Next);
    let mut w = world(config);
    let leader = w.get("foo", 1);
    w.get("foo", 2);
    let last = w.get("foo", 3);
    assert_eq!(w.opened[0].1, 1);
    w.lose(0, Loss::Refused);
    assert_eq!((w.opened[1].1, w.view_of(0).queued), (0, 1));
    w.cancel(leader);
    assert_eq!((w.view_of(0).queued, w.view_of(1).queued), (1, 0));
    let heir = w.client.calls.keys().find(|&call| call != last).unwrap();
    assert_eq!(w.client.calls[heir].server, 0);
    w.accept(1);
    let out = w.written(1);
    w.reply(1, &format!("EN O{}\r\n", tokens(&out)[0]));
    assert_eq!(w.done(), [(3, Ok(Outcome::Miss)), (2, Ok(Outcome::Miss))]);
}

/// Two connections that have worked for a while. The first one now hangs.
fn one_of_two_hangs(timeout: Option<Duration>) -> (World, CallId) {
    let mut config = config(&[&["min=2", "max=2"]]);
    config.coalesce = true;
    let mut w = world(config);
    w.accept(0);
    w.accept(1);
    let request = Request { key: b"k", verb: Verb::Get { touch: None }, timeout };
    let leader = w.client.submit(request, 0, w.now).map_err(|r| r.error).unwrap();
    assert_eq!(gets(&w.written(0)), 1, "on the connection that hangs");
    (w, leader)
}

/// Gets of a hot key every 10 ms while the first connection hangs. Returns how many fail, and whether it was given up.
fn hot_key(timeout: Option<Duration>, cancelled: bool) -> (usize, bool) {
    let (mut w, leader) = one_of_two_hangs(timeout);
    let mut failed = 0;
    for n in 1..600 {
        w.wait(Duration::from_millis(10));
        w.get("k", n);
        if cancelled && n == 50 {
            w.cancel(leader);
        }
        for conn in 1..w.opened.len() {
            if w.client
                .network
                .connections
                .get(w.conn(conn))
                .is_some_and(|c| c.phase() == crate::connection::Phase::Connecting)
            {
                w.accept(conn);
            }
            if !w.closed.contains(&w.conn(conn)) {
                let replies: String = tokens(&w.written(conn)).iter().map(|t| format!("EN kk O{t}\r\n")).collect();
                if !replies.is_empty() {
                    w.reply(conn, &replies);
                }
            }
        }
        failed += w.done().into_iter().filter(|(n, answer)| *n > 0 && answer.is_err()).count();
    }
    assert!(w.client.exchanges.len().1 == 0 && w.client.pending() <= 1, "nothing is left behind");
    (failed, w.closed.contains(&w.conn(0)))
}

/// Row R6: when the exchange is late, the item is requested on the other connection, and the first one is given up.
#[test]
fn r6_a_hot_key_leaves_a_connection_that_hangs() {
    let long = Some(Duration::from_secs(20));
    let short = Some(Duration::from_millis(100));
    for (timeout, cancelled) in [(None, false), (None, true), (long, false), (long, true), (short, false)] {
        let (failed, closed) = hot_key(timeout, cancelled);
        assert!(failed <= 2, "{failed} failed: {timeout:?}, cancelled: {cancelled}");
        assert!(closed || timeout == long, "given up: {timeout:?}, cancelled: {cancelled}");
    }
}

/// Row R6: no get joins a late exchange, even with another leader.
#[test]
fn r6_a_late_exchange_is_not_joined() {
    let (mut w, leader) = one_of_two_hangs(None);
    w.wait(Duration::from_millis(500));
    w.get("k", 1);
    w.cancel(leader);
    w.wait(Duration::from_millis(499));
    w.get("k", 2);
    assert_eq!(gets(&w.written(1)), 0);
    w.wait(Duration::from_millis(1));
    w.get("k", 3);
    assert_eq!(gets(&w.written(1)), 1, "a new exchange");
    assert_eq!(w.view().stats().coalesced, 2);
}

/// Row R6: the time when the connection is given up does not depend on later gets. Those that still wait ask elsewhere.
#[test]
fn r6_the_due_time_belongs_to_the_exchange() {
    let mut w = sharing();
    let leader = w.get("k", 0);
    w.accept(0);
    w.written(0);
    for n in 1..10 {
        w.wait(Duration::from_millis(99));
        let request = Request { key: b"k", verb: Verb::Get { touch: None }, timeout: Some(Duration::from_secs(9)) };
        w.client.submit(request, n, w.now).map_err(|r| r.error).unwrap();
        if n == 1 {
            w.cancel(leader);
        }
    }
    assert_eq!(w.view().stats().coalesced, 9);
    w.wait(Duration::from_millis(109 + 999));
    assert!(w.closed.is_empty());
    w.wait(Duration::from_millis(1));
    assert_eq!(w.closed, [w.conn(0)], "a second after it was due");
    assert_eq!(w.done(), []);
    w.accept(1);
    let t = tokens(&w.written(1));
    w.reply(1, &format!("EN kk O{}\r\n", t[0]));
    assert_eq!((t.len(), w.done().len(), w.client.pending()), (1, 9, 0));
}

/// Row R7: a leader that waits is late while a connection has room. It is not sent: without bytes, its request would
/// get the reply of the next one.
#[test]
fn r7_a_leader_that_is_late_in_the_queue_is_not_sent() {
    let mut config = config(&[&["max=2"]]);
    config.coalesce = true;
    let mut w = world(config);
    w.get("warm", 90);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("EN O{t}\r\n"));
    w.set("large", &"x".repeat(200_000), 91);
    let set = tokens(&w.write(0, 1000))[0];
    let request = Request { key: b"k", verb: Verb::Get { touch: None }, timeout: Some(Duration::from_millis(50)) };
    w.client.submit(request, 1, w.now).map_err(|r| r.error).unwrap();
    w.outputs();
    w.get("k", 2);
    assert_eq!((w.view().queued, w.opened.len()), (1, 2), "behind the large value it would have to wait for longer");
    w.done();
    w.get("x", 4);
    w.wait(Duration::from_millis(50));
    assert_eq!(w.done(), [(1, Err(Error::Timeout { maybe_applied: false }))]);
    assert_eq!(w.view().queued, 2);
    // The large value has been written; the other connection is not there yet.
    let mut out = w.written(0);
    assert_eq!((gets(&out), w.view().queued), (1, 0));
    w.get("other", 3);
    out += &w.written(0);
    w.reply(0, &format!("HD O{set}\r\n"));
    for t in tokens(&out) {
        w.reply(0, &format!("EN O{t}\r\n"));
    }
    let answers: Vec<u32> = w.done().into_iter().filter(|(_, answer)| answer.is_ok()).map(|(n, _)| n).collect();
    assert!(w.closed.is_empty() && w.events.is_empty(), "{:?}", w.events);
    assert_eq!((answers.len(), w.client.pending(), w.view().queued), (4, 0, 0), "{answers:?}");
}
