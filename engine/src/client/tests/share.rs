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
    assert_eq!(w.client.leaders.len(), 2);
}

#[test]
fn off_unless_it_is_wanted() {
    let mut w = one(&["max=1"]);
    w.get("k", 1);
    w.get("k", 2);
    w.accept(0);
    assert_eq!(gets(&w.written(0)), 2);
    assert!(w.client.leaders.is_empty());
}

/// Whoever has written has to see it: a get behind a write does not share the exchange of one before it.
#[test]
fn a_get_behind_a_write_asks_anew() {
    let ttl = Ttl::NEVER;
    let writes = [
        set("v"),
        Verb::Delete { cas: 0 },
        Verb::Touch { ttl },
        Verb::Get { touch: Some(ttl) },
        Verb::Invalidate { ttl: None, cas: 0 },
        Verb::Count { direction: crate::Direction::Incr, delta: 1, initial: None },
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

/// The leader gives up, in the queue, before it is written, or after; another one has its answer all the same.
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
            assert!(w.client.leaders.is_empty(), "nothing is left behind");
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
    assert!(w.client.leaders.is_empty());
}

/// Where the leader was moved to another server, those that follow go with it.
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
