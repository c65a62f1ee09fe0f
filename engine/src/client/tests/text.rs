//! Servers that speak the text protocol.

mod greetings;
mod refused;

use super::*;
use crate::config::Protocol;
use crate::operation::request::{Direction, DiscoverBy};
use crate::{KeyError, KeyRules};

/// A server's answer to a command of the greeting; `None`: it closes the connection.
pub(super) type Answers = fn(&str) -> Option<String>;

fn memcached(command: &str, version: &str) -> Option<String> {
    let answer = match command.split(' ').next().unwrap() {
        "version" => return Some(format!("VERSION {version}\r\n")),
        "get" | "gets" | "gats" => "END\r\n",
        "touch" => "NOT_FOUND\r\n",
        "stats" => "STAT pid 1\r\nSTAT uptime 2\r\nEND\r\n",
        "mn" if version.starts_with("1.6") => "MN\r\n",
        _ => "ERROR\r\n",
    };
    Some(answer.into())
}

fn old(command: &str) -> Option<String> {
    memcached(command, "1.6.9")
}

pub(super) fn older(command: &str) -> Option<String> {
    match command.split(' ').next().unwrap() {
        "gats" | "touch" => Some("ERROR\r\n".into()),
        _ => memcached(command, "1.4.4"),
    }
}

/// It closes the connection at an unknown command, and does not answer commands that came with it.
fn twemproxy(command: &str) -> Option<String> {
    match command.split(' ').next().unwrap() {
        "mn" | "gats" | "stats" => None,
        _ => memcached(command, "1.6.18"),
    }
}

/// The same, without `version`.
fn old_twemproxy(command: &str) -> Option<String> {
    command
        .starts_with("get")
        .then(|| "END\r\n".into())
        .or_else(|| command.starts_with("touch").then(|| "NOT_FOUND\r\n".into()))
}

/// Greets, with as many connections as necessary, starting with this number. Returns the questions on each.
pub(super) fn greet(w: &mut World, mut n: usize, answers: Answers) -> Vec<Vec<String>> {
    let mut asked = Vec::new();
    loop {
        let conn = w.conn(n);
        w.client.connected(conn, w.now);
        asked.push(Vec::new());
        loop {
            if w.client.is_ready(conn) {
                return asked;
            }
            let commands = w.written(n);
            let commands: Vec<_> = commands.split_terminator("\r\n").map(str::to_owned).collect();
            let answer: Option<Vec<String>> = commands.iter().map(|command| answers(command)).collect();
            asked.last_mut().unwrap().extend(commands);
            let Some(answer) = answer else { break w.lose(n, Loss::Eof) };
            assert!(!answer.is_empty(), "nothing is asked, and it is not ready: {asked:?}");
            // One byte at a time.
            for byte in answer.concat().chars() {
                w.reply(n, byte.encode_utf8(&mut [0; 4]));
            }
            if w.closed.contains(&conn) {
                break;
            }
            if answer.last().is_some_and(|line| line == greetings::MALFORMED) {
                w.written(n);
                break w.lose(n, Loss::Error);
            }
        }
        n += 1;
        assert!(n < w.opened.len(), "nothing is asked any more: {asked:?} {:?}", w.events);
    }
}

fn in_text(protocol: Protocol, answers: Answers) -> World {
    let mut w = world(Config { protocol, ..config(&[&["max=1"]]) });
    w.get("a", 0);
    greet(&mut w, 0, answers);
    assert_eq!(w.written(w.opened.len() - 1), "gets a\r\n");
    w.reply(w.opened.len() - 1, "END\r\n");
    assert_eq!(w.done(), [(0, Ok(Outcome::Miss))]);
    w
}

fn last(w: &World) -> usize {
    w.opened.len() - 1
}

#[test]
fn values_are_those_of_their_keys() {
    let cow = "VALUE cow 7 3 9\r\nmoo\r\nEND\r\n";
    for cut in 0..=cow.len() {
        let mut w = in_text(Protocol::Text, old);
        w.get("cow", 1);
        w.get("dog", 2);
        assert_eq!(w.written(0), "gets cow\r\ngets dog\r\n");
        w.reply(0, &cow[..cut]);
        w.reply(0, &cow[cut..]);
        w.reply(0, "END\r\n");
        assert_eq!(w.done(), [(1, item("moo", 7, 9)), (2, Ok(Outcome::Miss))]);
    }
}

/// A reply that is out of step closes the connection, and no operation gets it.
#[test]
fn another_keys_value_is_nobodys() {
    for wrong in [
        "VALUE dog 0 3 1\r\nwuf\r\nEND\r\n",
        "VALUE cows 0 3 1\r\nmoo\r\nEND\r\n",
        "VALUE cow 0 3 1\r\nmoo\r\nVALUE cow 0 3 1\r\nmoo\r\nEND\r\n",
        "VALUE cow 0 3 1\r\nmoo\r\nEND\r\nEND\r\nEND\r\n",
        "VALUE cow 0 2 1\r\nmoo\r\nEND\r\n",
        "VALUE cow 0 3\r\nmoo\r\nEND\r\n",
        "STORED\r\n",
        "5\r\n",
        "VERSION 1.6.9\r\n",
    ] {
        for given_up in [false, true] {
            let mut w = in_text(Protocol::Text, old);
            let call = w.get("cow", 1);
            w.submit("dog", set("wuf"), 2).unwrap();
            w.written(0);
            if given_up {
                assert_eq!(w.cancel(call), Some(1));
            }
            w.reply(0, wrong);
            assert_eq!(w.closed, [w.conn(0)], "{wrong:?}");
            let done = w.done();
            assert!(
                done.contains(&(2, Err(Error::Unknown { maybe_applied: true })))
                    || done.contains(&(2, Err(Error::Protocol { maybe_applied: true }))),
                "{wrong:?}: {done:?}"
            );
        }
    }
}

/// The placeholder of a get takes its own reply only.
#[test]
fn a_get_that_was_given_up_is_still_compared() {
    let mut w = in_text(Protocol::Text, old);
    let call = w.get("cow", 1);
    w.get("dog", 2);
    w.written(0);
    w.cancel(call);
    w.reply(0, "VALUE cow 0 3 1\r\nmoo\r\nEND\r\nVALUE dog 0 3 1\r\nwuf\r\nEND\r\n");
    assert_eq!(w.done(), [(2, item("wuf", 0, 1))]);
    let late = w.get("cow", 3);
    w.get("dog", 4);
    w.written(0);
    w.wait(Config::TIMEOUT);
    assert_eq!(w.done().len(), 2, "{late:?} is late");
    w.reply(0, "VALUE dog 0 3 1\r\nwuf\r\nEND\r\n");
    assert_eq!(w.closed, [w.conn(0)]);
}

#[test]
fn answers_of_the_others() {
    let store = |mode, cas| Verb::Store { mode, value: Bytes::from_static(b"moo"), flags: 0, ttl: Ttl::NEVER, cas };
    let count = |direction| Verb::Count { direction, delta: 2, initial: None, cas: 0 };
    let cases = [
        (store(StoreMode::Set, 0), "set cow 0 0 3\r\nmoo\r\n", "STORED", Outcome::Done),
        (store(StoreMode::Set, 5), "cas cow 0 0 3 5\r\nmoo\r\n", "EXISTS", Outcome::Exists),
        (store(StoreMode::Set, 5), "cas cow 0 0 3 5\r\nmoo\r\n", "NOT_FOUND", Outcome::Miss),
        (store(StoreMode::Add, 0), "add cow 0 0 3\r\nmoo\r\n", "NOT_STORED", Outcome::NotStored),
        (store(StoreMode::Append, 0), "append cow 0 0 3\r\nmoo\r\n", "STORED", Outcome::Done),
        (Verb::Delete { cas: 0 }, "delete cow\r\n", "DELETED", Outcome::Done),
        (Verb::Delete { cas: 0 }, "delete cow\r\n", "NOT_FOUND", Outcome::Miss),
        (Verb::Touch { ttl: Ttl::NEVER }, "touch cow 0\r\n", "TOUCHED", Outcome::Done),
        (Verb::Touch { ttl: Ttl::NEVER }, "touch cow 0\r\n", "NOT_FOUND", Outcome::Miss),
        (count(Direction::Incr), "incr cow 2\r\n", "7", Outcome::Number(7)),
        (count(Direction::Decr), "decr cow 2\r\n", "NOT_FOUND", Outcome::Miss),
    ];
    let mut w = in_text(Protocol::Text, old);
    for (verb, request, answer, outcome) in cases {
        w.submit("cow", verb, 1).unwrap();
        assert_eq!(w.written(0), request);
        w.reply(0, &format!("{answer}\r\n"));
        assert_eq!(w.done(), [(1, Ok(outcome))], "{request:?}");
    }
    for (verb, request, answer, outcome) in [
        (ServerVerb::Noop, "version\r\n", "VERSION 1.6.9\r\n", Outcome::Done),
        (ServerVerb::Version, "version\r\n", "VERSION 1.6.9\r\n", Outcome::Text(Bytes::from_static(b"1.6.9"))),
        (ServerVerb::Stats, "stats\r\n", "STAT a b\r\nEND\r\n", Outcome::Text(Bytes::from_static(b"a b\n"))),
        (ServerVerb::FlushAll { delay: 0 }, "flush_all\r\n", "OK\r\n", Outcome::Done),
        (ServerVerb::Discover { by: DiscoverBy::Config }, "config get cluster\r\n", "END\r\n", Outcome::Miss),
    ] {
        w.client.submit_to(0, verb, None, 1, w.now).unwrap();
        assert_eq!(w.written(0), request);
        w.reply(0, answer);
        assert_eq!(w.done(), [(1, Ok(outcome))], "{request:?}");
    }
}

fn unsupported(what: &str) -> Answer {
    Err(Error::Unsupported(format!("server 10.0.0.0:11211 speaks text: {what}").into()))
}

/// Before a byte is sent, whether the dialect is known at the submission or later.
#[test]
fn what_text_cannot_do_is_refused() {
    let vivify = std::num::NonZeroU32::MIN;
    let count = Verb::Count { direction: Direction::Incr, delta: 1, initial: None, cas: 5 };
    let store = |mode| Verb::Store { mode, value: Bytes::from_static(b"moo"), flags: 0, ttl: Ttl::NEVER, cas: 5 };
    let never = [
        (Verb::Lease { vivify, recache: 0, wait: false }, "it has no leases"),
        (Verb::Inspect, "it has no metadata"),
        (Verb::Invalidate { ttl: None, cas: 0 }, "it has no stale items"),
        (Verb::Delete { cas: 5 }, "it does not compare versions on delete"),
        (count, "it does not compare versions on incr and decr"),
        (store(StoreMode::Append), "it does not compare versions on add, replace, append and prepend"),
    ];
    let unknown = [
        (Verb::Get { touch: Some(Ttl::NEVER) }, "it does not know gats"),
        (Verb::Touch { ttl: Ttl::NEVER }, "it does not know touch"),
    ];
    for (answers, verbs) in [(old as Answers, &never[..]), (older, &never), (older, &unknown)] {
        for (verb, what) in verbs {
            let mut w = one(&["max=1"]);
            w.submit("cow", verb.clone(), 1).unwrap();
            greet(&mut w, 0, answers);
            assert_eq!(w.done(), [(1, unsupported(what))]);
            w.submit("cow", verb.clone(), 2).unwrap();
            assert_eq!(w.done(), [(2, unsupported(what))]);
            assert_eq!(w.written(0), "");
            let stats = w.view().stats();
            assert_eq!((stats.errors.unsupported, w.view().queued, w.client.pending()), (2, 0, 0));
        }
    }
    let refused = || Err(KeyError::NotText("10.0.0.0:11211".into()).into());
    let mut w = one(&["max=1"]);
    w.get("a b", 1);
    w.submit("a\r\nflush_all", set("moo"), 2).unwrap();
    w.get("cow", 3);
    greet(&mut w, 0, old);
    assert_eq!(w.done(), [(1, refused()), (2, refused())]);
    assert_eq!(w.written(0), "gets cow\r\n");
    w.submit("a b", set("moo"), 4).unwrap();
    assert_eq!(w.done(), [(4, refused())]);
    // The word would be taken for an option, and the next reply for this one's. In meta it is a key like others.
    let delete = Verb::Delete { cas: 0 };
    let reason = || unsupported("it may take the key noreply of a delete for an option");
    for (prefix, key) in [("", "noreply"), ("no", "reply")] {
        let mut w = world(Config { keys: KeyRules::with_prefix(prefix.into()), ..config(&[&["max=1"]]) });
        w.submit(key, delete.clone(), 1).unwrap();
        greet(&mut w, 0, old);
        assert_eq!(w.done(), [(1, reason())]);
        w.submit(key, delete.clone(), 2).unwrap();
        assert_eq!(w.done(), [(2, reason())]);
        w.submit("noreply2", delete.clone(), 3).unwrap();
        w.get(key, 4);
        assert_eq!(w.written(0), format!("delete {prefix}noreply2\r\ngets noreply\r\n"));
    }
    let mut w = one(&[]);
    w.submit("noreply", delete, 1).unwrap();
    w.accept(0);
    assert!(w.written(0).starts_with("md noreply O"));
    // A proxy that closes the connection of stats is not asked to forget everything.
    let mut w = in_text(Protocol::Text, twemproxy);
    let all = ServerVerb::FlushAll { delay: 0 };
    for (verb, what) in [(ServerVerb::Stats, "it does not know stats"), (all, "it may not know flush_all")] {
        w.client.submit_to(0, verb, None, 1, w.now).unwrap();
        assert_eq!(w.done(), [(1, unsupported(what))]);
    }
    let mut w = in_text(Protocol::Text, old_twemproxy);
    w.client.submit_to(0, ServerVerb::Noop, None, 1, w.now).unwrap();
    assert_eq!(w.done(), [(1, unsupported("it does not tell its version"))]);
    assert_eq!(w.written(last(&w)), "");
}

/// An operation that was accepted for a server with meta is not sent to another server in its place.
#[test]
fn a_server_that_is_another_one_by_now_gets_nothing_that_it_does_not_know() {
    let mut w = one(&["max=2"]);
    w.configure(|config| config.pipeline = 1);
    w.get("a", 1);
    w.accept(0);
    w.written(0);
    w.get("b", 2);
    let vivify = std::num::NonZeroU32::MIN;
    w.submit("c", Verb::Lease { vivify, recache: 0, wait: false }, 3).unwrap();
    w.await_open(1);
    greet(&mut w, 1, old);
    w.lose(0, Loss::Error);
    loop {
        let asked = w.written(1);
        if asked.is_empty() {
            break;
        }
        asked.lines().for_each(|_| w.reply(1, "END\r\n"));
    }
    let mut done = w.done();
    done.sort_by_key(|(tag, _)| *tag);
    assert_eq!(done.pop(), Some((3, unsupported("it has no leases"))));
    assert_eq!(done, [(1, Ok(Outcome::Miss)), (2, Ok(Outcome::Miss))]);
}

fn count_with_initial() -> Verb {
    Verb::Count { direction: Direction::Incr, delta: 2, initial: Some((5, Ttl::secs(60, 0))), cas: 0 }
}

#[test]
fn a_counter_that_is_not_there_is_made() {
    let mut w = in_text(Protocol::Text, old);
    let begin = |w: &mut World| {
        w.submit("n", count_with_initial(), 1).unwrap();
        assert_eq!(w.written(0), "incr n 2\r\n");
        w.reply(0, "NOT_FOUND\r\n");
        assert_eq!(w.done(), []);
        assert_eq!(w.written(0), "add n 0 60 1\r\n5\r\n");
    };
    begin(&mut w);
    w.reply(0, "STORED\r\n");
    assert_eq!(w.done(), [(1, Ok(Outcome::Number(5)))]);
    // Somebody else has made it.
    begin(&mut w);
    w.reply(0, "NOT_STORED\r\n");
    assert_eq!(w.written(0), "incr n 2\r\n");
    w.reply(0, "9\r\n");
    assert_eq!(w.done(), [(1, Ok(Outcome::Number(9)))]);
    // It is cancelled, late, or lost in between.
    w.submit("n", count_with_initial(), 1).unwrap();
    w.written(0);
    w.wait(Config::TIMEOUT);
    assert_eq!(w.done(), [(1, Err(Error::Timeout { maybe_applied: true }))]);
    w.reply(0, "NOT_FOUND\r\n");
    assert_eq!(w.written(0), "", "nobody waits for it");
    begin(&mut w);
    w.lose(0, Loss::Error);
    assert_eq!(w.done(), [(1, Err(Error::Unknown { maybe_applied: true }))]);
    assert_eq!(w.client.pending(), 0);
}

/// If one command counts and creates the counter, a miss is the answer, and nothing else is sent.
#[test]
fn a_count_that_misses_in_meta_is_a_miss() {
    let mut w = one(&["max=1"]);
    w.submit("n", count_with_initial(), 1).unwrap();
    w.accept(0);
    let t = tokens(&w.written(0))[0];
    w.reply(0, &format!("NF O{t}\r\n"));
    assert_eq!(w.done(), [(1, Ok(Outcome::Miss))]);
    assert_eq!((w.written(0), w.client.pending()), (String::new(), 0));
}

/// The server speaks meta by the time that the counter is created.
#[test]
fn a_counter_is_made_in_meta_too() {
    let mut w = in_text(Protocol::Auto, old);
    w.submit("n", count_with_initial(), 1).unwrap();
    assert_eq!(w.written(0), "incr n 2\r\n");
    w.reply(0, "NOT_FOUND\r\n");
    w.lose(0, Loss::Error);
    // A close in the greeting has it asked anew what it speaks.
    w.await_open(1);
    w.client.connected(w.conn(1), w.now);
    w.written(1);
    w.lose(1, Loss::Eof);
    w.accept(2);
    let written = w.written(2);
    let t = tokens(&written)[0];
    assert_eq!(written, format!("ms n 1 ME T60 O{t}\r\n5\r\n"));
    w.reply(2, &format!("HD O{t}\r\n"));
    assert_eq!(w.done(), [(1, Ok(Outcome::Number(5)))]);
}
