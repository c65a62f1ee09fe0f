//! The form of the key in a server's reply (R1).

use super::*;
use crate::operation::reply::Lease;

const LEASE: Verb = Verb::Lease { vivify: std::num::NonZeroU32::MIN, recache: 0, wait: false };

/// Every verb whose reply names its key, what memcached says to it in front of the name and behind, and the answer.
fn verbs() -> Vec<(Verb, &'static str, &'static str, Answer)> {
    let metadata =
        Metadata { size: 1, flags: 2, cas: 3, ttl: Some(4), idle: 0, fetched: true, stale: false, leased: false };
    vec![
        (Verb::Get { touch: None }, "VA 1 f2 c3", "\r\n5\r\n", item("5", 2, 3)),
        (Verb::Get { touch: Some(Ttl::NEVER) }, "VA 1 f2 c3", "\r\n5\r\n", item("5", 2, 3)),
        (Verb::Touch { ttl: Ttl::NEVER }, "HD s1 c3", "\r\n", Ok(Outcome::Done)),
        (Verb::Inspect, "HD s1 f2 c3 t4 l0 h1", "\r\n", Ok(Outcome::Metadata(metadata))),
        (LEASE, "VA 0 f0 c3", " W\r\n\r\n", Ok(Outcome::Lease(Lease::Won { cas: 3, old: None, stale: false }))),
        (LEASE, "VA 0 f0 c3", " Z\r\n\r\n", Ok(Outcome::Lease(Lease::Lost { cas: 3, old: None }))),
        (Verb::Get { touch: None }, "EN", "\r\n", Ok(Outcome::Miss)),
    ]
}

/// Keys that are sent encoded, and how they are.
const KEYS: [(&str, &str); 5] =
    [("a b", "YSBi"), ("a\tb", "YQli"), ("\0", "AA=="), ("\x7f", "fw=="), ("c\r\nHD O1", "Yw0KSEQgTzE=")];

fn ask(key: &str, verb: Verb) -> (World, u32) {
    let mut w = one(&["max=1"]);
    w.submit(key, verb, 1).unwrap();
    w.accept(0);
    let token = *tokens(&w.written(0)).last().unwrap();
    (w, token)
}

#[test]
fn r1_every_verb_takes_either_name_of_its_key() {
    for (key, encoded) in KEYS {
        for (verb, before, behind, answer) in verbs() {
            for name in [key.to_owned(), format!("{encoded} b"), encoded.to_owned()] {
                let (mut w, token) = ask(key, verb.clone());
                // What comes behind it is not confused by it.
                w.get("other", 2);
                let other = tokens(&w.written(0))[0];
                w.reply(0, &format!("{before} k{name} O{token}{behind}EN kother O{other}\r\n"));
                assert_eq!(w.done(), [(1, answer.clone()), (2, Ok(Outcome::Miss))], "{verb:?} of {key:?} as {name:?}");
                assert!(w.closed.is_empty() && w.events.is_empty());
            }
        }
    }
}

/// A name that arrives in pieces, and the reply of a request that nobody waits for any more.
#[test]
fn r1_in_pieces_and_for_nobody() {
    for (key, _) in KEYS {
        for cancelled in [false, true] {
            let mut w = one(&["max=1"]);
            let call = w.submit(key, Verb::Get { touch: None }, 1).unwrap();
            w.get("other", 2);
            w.accept(0);
            let t = tokens(&w.written(0));
            if cancelled {
                w.cancel(call);
            }
            for byte in format!("VA 1 f0 c3 k{key} O{}\r\n5\r\nEN O{}\r\n", t[0], t[1]).chars() {
                w.reply(0, byte.encode_utf8(&mut [0; 4]));
            }
            let expected = [(1, item("5", 0, 3)), (2, Ok(Outcome::Miss))];
            assert_eq!(w.done(), expected[usize::from(cancelled)..], "{key:?}");
            assert!(w.closed.is_empty());
        }
    }
}

/// A text key that another client has stored encoded.
#[test]
fn r1_a_text_key_that_was_stored_encoded() {
    let (mut w, token) = ask("cow", Verb::Get { touch: None });
    w.reply(0, &format!("VA 3 f0 c3 kY293 b O{token}\r\nmoo\r\n"));
    assert_eq!(w.done(), [(1, item("moo", 0, 3))]);
    for name in ["Y293", "cow b", "cot", "co", "coww", "Y290 b", ""] {
        let (mut w, token) = ask("cow", Verb::Get { touch: None });
        w.reply(0, &format!("VA 3 f0 c3 k{name} O{token}\r\nmoo\r\n"));
        assert_eq!(w.done(), [(1, Err(Error::Protocol { maybe_applied: false }))], "{name:?}");
        assert_eq!(w.closed, [w.conn(0)]);
    }
}

/// A client of nginx chooses keys. Whatever a server makes of them, it is not given up for that, while one that breaks
/// the protocol for keys as they are sent is.
#[test]
fn r1_what_a_key_brings_about_does_not_bring_the_server_down() {
    for (key, state) in [("a b", State::Live), ("cow", State::Down)] {
        let mut w = one(&["max=1"]);
        for n in 0..20 {
            if w.submit(key, Verb::Get { touch: None }, 1).is_err() {
                break;
            }
            let latest = w.now.after(Duration::from_secs(1));
            while w.opened.len() <= n {
                let next = w.client.next_timeout().unwrap();
                assert!(next <= latest, "it is connected to again, soon");
                w.wait(next.since(w.now));
            }
            w.greet(n, "1.6.18");
            let token = tokens(&w.written(n))[0];
            w.reply(n, &format!("VA 1 f0 c1 kanother O{token}\r\n5\r\n"));
            assert_eq!(w.done(), [(1, Err(Error::Protocol { maybe_applied: false }))]);
        }
        assert_eq!(w.view().state, state, "{key}");
    }
}
