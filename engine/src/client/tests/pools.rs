//! The number of connections, and operations that wait.

use super::*;
use crate::{CONNECT_BURST, CONNECT_RATE};

/// Answers all requests on connection number `n` with misses.
fn answer(w: &mut World, n: usize) -> usize {
    let replies: String = tokens(&w.written(n)).iter().map(|t| format!("EN O{t}\r\n")).collect();
    w.reply(n, &replies);
    w.done().len()
}

#[test]
fn opened_on_demand_and_shared() {
    let mut w = one(&["max=3"]);
    assert!(w.opened.is_empty());
    w.configure(|config| config.pipeline = 4);
    for n in 0..4 {
        w.get("k", n);
    }
    assert_eq!(w.opened.len(), 1, "four fit on one");
    w.accept(0);
    assert_eq!(answer(&mut w, 0), 4);

    for n in 0..5 {
        w.get("k", n);
    }
    assert_eq!(w.opened.len(), 2, "the fifth wants another");
    for n in 0..27 {
        w.get("k", n);
    }
    assert_eq!(w.opened.len(), 2, "one at a time");
    assert_eq!((w.view().pending, w.view().queued), (32, 0), "meanwhile the pipeline is deeper");
    w.get("k", 0);
    assert_eq!(w.view().queued, 1, "up to eight times");
}

#[test]
fn operations_of_a_turn_share_a_write() {
    let mut w = one(&["min=2", "smax=2", "max=2"]);
    w.accept(0);
    w.accept(1);
    let mut turn = |gets: u32| {
        for n in 0..gets {
            w.get("k", n);
        }
        [0, 1].map(|n| tokens(&w.written(n)).len())
    };
    assert_eq!(turn(20), [20, 0]);
    assert_eq!(turn(1), [0, 1], "the next turn's go where less is under way");
    assert_eq!(turn(200), [73, 127], "no more than a pipeline");
}

#[test]
fn a_busy_turn_leaves_its_writes_to_the_next() {
    let mut w = one(&["min=1", "max=1"]);
    w.accept(0);
    let mut turn = |gets: u32| {
        for n in 0..gets {
            w.get("k", n);
        }
        w.client.put_off_writes()
    };
    assert_eq!([0, 1, 15].map(&mut turn), [false; 3], "who waits for the next event waits for nothing");
    assert_eq!([16, 16, 0].map(&mut turn), [true, false, false], "never twice in a row");
    assert_eq!([127, 0, 128].map(&mut turn), [true, false, false], "what is enough for a write");
    assert_eq!(tokens(&w.written(0)).len(), 303);

    for n in 0..16 {
        let call = w.get("k", n);
        assert_eq!(w.cancel(call), Some(n));
    }
    w.written(0);
    assert!(!w.client.put_off_writes(), "there is nothing to write");
    w.client.drain(w.now);
    for n in 0..16 {
        w.get("k", n);
    }
    assert!(!w.client.put_off_writes(), "the worker wants to exit");
}

#[test]
fn f34_f35_bounded_at_max() {
    let mut config = config(&[&["max=1"]]);
    (config.pipeline, config.queue) = (1, 2);
    let mut w = world(config);
    w.get("k", 0);
    w.accept(0);
    for n in 0..9 {
        w.get("k", n);
    }
    assert_eq!((w.view().pending, w.view().queued), (8, 2));
    assert_eq!(w.submit("k", set("v"), 1), Err(Error::Busy));
    assert_eq!(w.view().stats().errors.busy, 1);
    assert_eq!((w.view().stats().limits.queue, w.view().stats().limits.pipeline), (1, 2));
    assert_eq!(answer(&mut w, 0), 8);
    assert_eq!((w.view().pending, w.view().queued), (2, 0), "who waited is next");
    assert_eq!(answer(&mut w, 0), 2);
    assert_eq!(w.opened.len(), 1);
}

#[test]
fn f32_f34_bytes_that_wait_are_bounded() {
    let mut config = config(&[&["max=1"]]);
    (config.max_value, config.queue) = (16 << 20, 1000);
    let mut w = world(config);
    let value = Bytes::from(vec![0; 16 << 20]);
    let store = || Verb::Store { mode: StoreMode::Set, value: value.clone(), flags: 0, ttl: Ttl::NEVER, cas: 0 };
    let calls: Vec<CallId> = (0..4).map(|n| w.submit("k", store(), n).unwrap()).collect();
    assert_eq!(w.submit("k", store(), 9), Err(Error::Busy));
    assert_eq!(w.view().stats().limits.backlog, 1);
    w.get("other", 5);
    w.cancel(calls[3]);
    w.submit("k", store(), 6).unwrap();
    w.accept(0);
    w.cancel(calls[0]);
    let conn = w.conn(0);
    // What was written does not count any more.
    loop {
        let mut slices = [IoSlice::new(&[]); 16];
        let used = w.client.transmit(conn, &mut slices);
        let len = slices[..used].iter().map(|s| s.len()).sum();
        if len == 0 {
            break;
        }
        w.client.written(conn, len, w.now);
    }
    assert_eq!(w.client.servers.get(0).unwrap().backlog(), 0);
}

#[test]
fn a_queue_of_the_cancelled_does_not_grow() {
    let mut w = one(&["max=1"]);
    for n in 0..10_000 {
        let call = w.get("k", n);
        w.cancel(call);
    }
    assert!(w.client.servers.get(0).unwrap().queued().count() < 100);
    assert!(w.client.spare_keys.len() < 3, "memory is used again");
}

#[test]
fn min_is_opened_at_start_and_refilled_by_timer() {
    let mut w = one(&["min=2", "smax=2"]);
    assert_eq!(w.opened.len(), 2);
    w.accept(0);
    w.accept(1);
    w.wait(Duration::from_secs(2));
    w.lose(0, Loss::Eof);
    assert_eq!(w.opened.len(), 2, "not at once: other workers have lost theirs too");
    w.wait(Duration::from_millis(100));
    assert_eq!(w.opened.len(), 3, "refilled");
    w.lose(2, Loss::Refused);
    assert_eq!(w.view().state, State::Live, "the other one works");
    w.wait(Duration::from_millis(49));
    assert_eq!(w.opened.len(), 3, "not at once again");
    w.wait(Duration::from_millis(51));
    assert_eq!(w.opened.len(), 4);
    w.accept(3);
    w.lose(3, Loss::Eof);
    w.wait(Duration::from_millis(99));
    assert_eq!(w.opened.len(), 4, "it did not live long");
    w.wait(Duration::from_millis(101));
    assert_eq!(w.opened.len(), 5);
}

/// Row F40: the number of connects, however many operations want one.
#[test]
fn f40_connects_are_limited_in_rate() {
    let mut config = config(&[&["min=100", "smax=100", "max=100"]]);
    config.connect_timeout = Duration::from_secs(100);
    let mut w = world(config);
    assert_eq!(w.opened.len(), CONNECT_BURST as usize);
    for _ in 0..2_000 {
        w.get("k", 1);
        w.wait(Duration::from_millis(1));
    }
    let most = CONNECT_BURST as usize + 2 * CONNECT_RATE as usize;
    assert!((most - 2..=most).contains(&w.opened.len()), "{} connects", w.opened.len());
    let delayed = w.view().stats().limits.connects;
    assert!((1..=most as u64).contains(&delayed), "{delayed} were put off");
}

#[test]
fn f36_idle_connections_above_smax_close_after_ttl() {
    let mut w = one(&["min=1", "smax=1", "max=3", "ttl=60"]);
    w.configure(|config| config.pipeline = 1);
    w.accept(0);
    for n in 0..3 {
        w.get("k", n);
    }
    w.accept(1);
    w.get("k", 3);
    w.get("k", 4);
    w.accept(2);
    assert_eq!((0..3).map(|n| answer(&mut w, n)).sum::<usize>(), 5);
    assert_eq!(w.view().idle, 3);
    w.wait(Duration::from_secs(59));
    assert!(w.closed.is_empty());
    w.wait(Duration::from_secs(1));
    assert_eq!((w.closed.len(), w.view().open), (2, 1));
    w.wait(Duration::from_secs(10_000));
    assert_eq!(w.view().open, 1, "`smax` stay");
}

#[test]
fn ttl_0_never_closes() {
    let mut w = one(&["smax=0", "max=1", "ttl=0"]);
    w.get("k", 1);
    w.accept(0);
    answer(&mut w, 0);
    w.wait(Duration::from_secs(100_000_000));
    assert_eq!(w.view().open, 1);
}

#[test]
fn a_small_reply_does_not_wait_behind_a_large_value() {
    let mut w = one(&["max=2"]);
    w.get("large", 1);
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("VA 1000000 f0 c1 klarge O{t}\r\nx"));
    w.get("small", 2);
    assert_eq!(w.opened.len(), 2);
    w.accept(1);
    assert!(w.written(1).starts_with("mg small "));
    w.get("third", 3);
    assert!(w.written(1).starts_with("mg third "), "the one that is not busy with it");
}

#[test]
fn no_resources_is_not_the_servers_fault() {
    let mut w = one(&[]);
    w.get("k", 1);
    w.lose(0, Loss::NoResources);
    assert_eq!(w.view().state, State::Live);
    assert!(w.done().is_empty());
    assert_eq!(w.opened.len(), 1, "no spinning");
    let pause = w.client.next_timeout().unwrap().since(w.now);
    w.wait(pause);
    assert_eq!(w.opened.len(), 2);
}

#[test]
fn everything_returns_to_baseline() {
    let mut w = one(&["max=2"]);
    for round in 0..100 {
        for n in 0..50 {
            let call = w.get("k", n);
            if n % 7 == 0 {
                w.cancel(call);
            }
        }
        if round == 0 {
            w.accept(0);
        }
        answer(&mut w, 0);
    }
    assert_eq!(w.client.pending(), 0);
    assert!(w.client.network.connections.len() <= 2);
    assert!(w.client.poll_dirty().is_none() && w.client.completions.is_empty());
    assert_eq!((w.view().idle, w.view().queued, w.view().pending), (1, 0, 0));
}
