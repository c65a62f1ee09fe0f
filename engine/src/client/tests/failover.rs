//! Servers that are down, and their stand-ins.

use super::*;
use crate::config::Failover;

/// Three servers; foo and key1 belong to server 1, cow to 0, key0 to 2.
fn three(failover: Failover) -> World {
    let mut config = config(&[&["max=1"], &["max=1"], &["max=1"]]);
    config.failover = failover;
    world(config)
}

/// The connection to this server that was requested last.
fn latest(w: &World, server: ServerId) -> usize {
    w.opened.iter().rposition(|o| o.1 == server).unwrap()
}

fn answer(w: &mut World, server: ServerId) -> Vec<(u32, Answer)> {
    let n = latest(w, server);
    let t = tokens(&w.written(n));
    t.iter().for_each(|t| w.reply(n, &format!("EN O{t}\r\n")));
    w.done()
}

#[test]
fn off_nothing_moves() {
    let mut w = three(Failover::Off);
    w.get("foo", 1);
    w.lose(0, Loss::Refused);
    assert_eq!(w.done(), [(1, Err(Error::ServerDown))]);
    assert_eq!(w.submit("key1", set("v"), 2), Err(Error::ServerDown));
    assert_eq!(w.opened.len(), 1);
    assert_eq!(w.client.server(1).unwrap().stats().failed_over, 0);
}

/// When the server goes down, waiting operations move, and later ones go to the stand-in at once. When it is back, so
/// are they.
#[test]
fn next_stands_in_while_the_server_is_down() {
    let mut w = three(Failover::Next);
    w.get("foo", 1);
    w.set("key1", "v", 2);
    w.lose(0, Loss::Refused);
    assert!(w.done().is_empty(), "nothing of it was sent");
    assert_eq!(w.opened[1].1, 2, "the next one of the list");
    w.accept(1);
    let out = w.written(1);
    assert!(out.starts_with("mg foo ") && out.contains("ms key1 "), "{out}");
    let t = tokens(&out);
    w.reply(1, &format!("EN O{}\r\nHD O{}\r\n", t[0], t[1]));
    assert_eq!(w.done(), [(1, Ok(Outcome::Miss)), (2, Ok(Outcome::Done))]);

    w.get("foo", 3);
    w.get("key0", 4);
    assert_eq!(answer(&mut w, 2), [(3, Ok(Outcome::Miss)), (4, Ok(Outcome::Miss))]);
    let stats = w.client.server(1).unwrap().stats();
    assert_eq!((stats.failed_over, stats.retried), (3, 2));
    assert_eq!(stats.errors.server_down, 0);

    // The probe.
    w.wait(Duration::from_secs(7));
    let probe = latest(&w, 1);
    w.accept(probe);
    w.get("foo", 5);
    assert_eq!(answer(&mut w, 1), [(5, Ok(Outcome::Miss))], "at home");
}

#[test]
fn without_any_live_server_operations_fail() {
    let mut w = three(Failover::Next);
    w.get("foo", 1);
    for n in 0..3 {
        w.lose(n, Loss::Refused);
        assert_eq!(w.done().is_empty(), n == 0, "once moved, it is not moved again");
        w.get_or_error("foo", 2 + n as u32);
    }
    assert_eq!(w.submit("foo", set("v"), 9), Err(Error::ServerDown));
}

/// A write whose bytes were written may be applied, even if another server could take it.
#[test]
fn what_may_have_been_applied_does_not_move() {
    let mut w = three(Failover::Next);
    w.configure(|config| config.max_fails = 1);
    w.get("foo", 1);
    w.set("foo", "v", 2);
    w.accept(0);
    w.written(0);
    w.set("key1", "v", 3);
    w.lose(0, Loss::Error);
    assert_eq!(w.view_of(1).state, State::Down);
    assert_eq!(w.done(), [(2, Err(Error::Unknown { maybe_applied: true }))]);
    w.accept(1);
    let out = w.written(1);
    assert!(out.starts_with("mg foo ") && out.contains("ms key1 "), "{out}");
}

#[test]
fn what_moves_has_to_find_room() {
    let mut w = three(Failover::Next);
    w.configure(|config| config.queue = 2);
    w.get("key0", 1);
    w.get("foo", 2);
    w.get("foo", 3);
    let home = latest(&w, 1);
    w.lose(home, Loss::Refused);
    assert_eq!(w.done(), [(3, Err(Error::ServerDown))]);
    assert_eq!((w.view_of(2).queued, w.view_of(1).queued), (2, 0));
}

/// The bytes that count for a server's bound move with the operation.
#[test]
fn bytes_that_wait_move_too() {
    let mut w = three(Failover::Next);
    w.set("foo", "12345", 1);
    assert_eq!(w.client.servers.get(1).unwrap().backlog(), 5);
    w.lose(0, Loss::Refused);
    assert_eq!((w.client.servers.get(1).unwrap().backlog(), w.client.servers.get(2).unwrap().backlog()), (0, 5));
    w.accept(1);
    w.written(1);
    assert_eq!(w.client.servers.get(2).unwrap().backlog(), 0);
}

#[test]
fn operations_on_a_server_do_not_move() {
    let mut w = three(Failover::Next);
    w.client.submit_to(1, ServerVerb::Version, None, 1, w.now).unwrap();
    w.outputs();
    w.lose(0, Loss::Refused);
    assert_eq!(w.done(), [(1, Err(Error::ServerDown))]);
    let refused = w.client.submit_to(1, ServerVerb::Version, None, 2, w.now).unwrap_err();
    assert_eq!(refused.error, Error::ServerDown);
}

#[test]
fn a_server_can_be_taken_out_of_use() {
    for failover in [Failover::Off, Failover::Next] {
        let mut w = three(failover);
        w.get("foo", 1);
        w.accept(0);
        let t = tokens(&w.written(0));
        w.configure(|config| config.pipeline = 1);
        for n in 2..10 {
            w.get("foo", n);
        }
        let waiting = w.view_of(1).queued as u32;
        assert!(w.client.set_enabled(1, false, w.now));
        w.outputs();
        assert_eq!(w.view_of(1).state, State::Disabled);
        assert_eq!(w.done().len() as u32, if failover == Failover::Off { waiting } else { 0 }, "what waited");
        w.reply(0, &format!("EN kfoo O{}\r\n", t[0]));
        assert!(w.done().contains(&(1, Ok(Outcome::Miss))), "what was sent is answered");
        match failover {
            Failover::Off => assert_eq!(w.submit("key1", set("v"), 90), Err(Error::ServerDown)),
            _ => assert!(w.submit("key1", set("v"), 90).is_ok()),
        }
        let opened = w.opened.iter().filter(|o| o.1 == 1).count();
        w.wait(Duration::from_secs(1_000));
        assert_eq!(w.opened.iter().filter(|o| o.1 == 1).count(), opened, "nobody probes");
        assert_eq!(w.view_of(1).open, 0);

        assert!(w.client.set_enabled(1, true, w.now));
        w.outputs();
        assert_eq!(w.view_of(1).state, State::Live);
        w.done();
        w.get("foo", 91);
        assert_eq!(w.opened.last().unwrap().1, 1);
        assert!(!w.client.set_enabled(3, true, w.now), "no such server");
    }
}

/// Operations go where `explain` says.
#[test]
fn an_explanation_tells_the_server_that_is_asked() {
    for failover in [Failover::Off, Failover::Next] {
        let mut w = three(failover);
        let asked = |w: &World| w.client.explain(b"foo").map(|(explanation, server)| (explanation.candidates, server));
        assert_eq!(asked(&w), Ok((vec![1, 2, 0], Some(1))));
        w.get("foo", 1);
        w.lose(0, Loss::Refused);
        let instead = (failover == Failover::Next).then_some(2);
        assert_eq!(asked(&w), Ok((vec![1, 2, 0], instead)), "{failover:?}");
        assert!(w.client.explain(b"").is_err());
    }
}

/// R42: the caller learns that the key's own server was down, so it does not take a miss for "there is none".
#[test]
fn r42_an_answer_says_that_it_is_of_a_stand_in() {
    let mut w = three(Failover::Next);
    w.get("foo", 1);
    w.get("key0", 2);
    w.lose(0, Loss::Refused);
    assert_eq!(who(&mut w, 2), [(2, false), (1, true)], "moved with the queue");
    w.set("foo", "v", 3);
    w.get("foo", 4);
    w.get("key0", 5);
    assert_eq!(who(&mut w, 2), [(3, true), (4, true), (5, false)], "submitted while it is down");
    w.client.submit_to(2, ServerVerb::Noop, None, 6, w.now).unwrap();
    assert_eq!(who(&mut w, 2), [(6, false)], "that server itself was meant");

    w.get("foo", 7);
    w.wait(Duration::from_secs(2));
    assert_eq!(stand_ins(&mut w), [(7, true)], "an error, too");

    // It is back.
    w.wait(Duration::from_secs(7));
    let probe = latest(&w, 1);
    w.accept(probe);
    w.get("foo", 8);
    assert_eq!(who(&mut w, 1), [(8, false)]);
}

#[test]
fn r42_each_key_of_a_batch_says_so_for_itself() {
    let mut w = three(Failover::Next);
    w.get("foo", 1);
    w.lose(0, Loss::Refused);
    who(&mut w, 2);
    let keys = ["key0", "foo", ""].map(str::as_bytes);
    w.client.submit_many(Subset::ALL, keys, None, None, 2, w.now).unwrap();
    w.outputs();
    answer_all(&mut w, 2);
    let done = w.client.poll_completion().unwrap();
    let Ok(Outcome::Many(parts)) = done.answer else { panic!("no batch") };
    assert_eq!(parts.iter().map(|part| part.stand_in).collect::<Vec<_>>(), [false, true, false]);
    assert!(!done.stand_in, "the whole has no key");
}

/// If the leader of a shared exchange moves, its followers learn that, too.
#[test]
fn r42_followers_hear_who_has_answered() {
    let mut config = config(&[&["max=1"], &["max=1"], &["max=1"]]);
    (config.failover, config.coalesce) = (Failover::Next, true);
    let mut w = world(config);
    w.get("foo", 1);
    w.get("foo", 2);
    w.lose(0, Loss::Refused);
    assert_eq!(who(&mut w, 2), [(2, true), (1, true)]);
}

/// In a subset, a key has its own server.
#[test]
fn r42_in_a_subset_its_own_routing_decides() {
    let mut w = three(Failover::Next);
    let some = w.client.subset(Subset::ALL, &[0, 2]).unwrap();
    let home = w.client.server_within(some, b"foo").unwrap();
    assert_ne!(home, w.client.server_of(b"foo").unwrap());
    let verb = Verb::Get { touch: None };
    let request = Request { key: b"foo", verb, timeout: None };
    w.client.submit_within(some, request, 1, w.now).unwrap();
    w.outputs();
    assert_eq!(who(&mut w, home), [(1, false)]);
}

/// They share an exchange with their own server alone.
#[test]
fn followers_of_another_subset_ask_its_stand_in() {
    let mut config = config(&[&["max=1"], &["max=1"], &["max=1"]]);
    (config.failover, config.coalesce) = (Failover::Next, true);
    let mut w = world(config);
    let some = w.client.subset(Subset::ALL, &[0, 1]).unwrap();
    let of_both =
        |key: &String| [Subset::ALL, some].iter().all(|&of| w.client.server_within(of, key.as_bytes()) == Ok(1));
    let key = (0..).map(|n| format!("k{n}")).find(of_both).unwrap();
    for (subset, n) in [(Subset::ALL, 1), (some, 2), (Subset::ALL, 3)] {
        let request = Request { key: key.as_bytes(), verb: Verb::Get { touch: None }, timeout: None };
        w.client.submit_within(subset, request, n, w.now).unwrap();
    }
    w.outputs();
    w.lose(0, Loss::Refused);
    assert_eq!(who(&mut w, 2), [(3, true), (1, true)]);
    assert_eq!(who(&mut w, 0), [(2, true)]);
}

/// Answers the requests to a server with misses. Returns the servers that were asked, and whether a stand-in has
/// answered.
fn who(w: &mut World, server: ServerId) -> Vec<(u32, bool)> {
    answer_all(w, server);
    stand_ins(w)
}

fn stand_ins(w: &mut World) -> Vec<(u32, bool)> {
    std::iter::from_fn(|| w.client.poll_completion()).map(|done| (done.context, done.stand_in)).collect()
}

fn answer_all(w: &mut World, server: ServerId) {
    let n = latest(w, server);
    if w.view_of(server).open == 0 {
        w.accept(n);
    }
    let out = w.written(n);
    for line in out.split("\r\n").filter(|line| !line.is_empty()) {
        let token = line.rsplit_once(" O").map_or("", |(_, token)| token);
        let reply = match line.get(..2) {
            Some("mg") => format!("EN O{token}\r\n"),
            Some("ms") => format!("HD O{token}\r\n"),
            Some("mn") => "MN\r\n".into(),
            _ => continue,
        };
        w.reply(n, &reply);
    }
}
