//! Servers that require authentication: memcached with `-Y`.

use super::*;
use crate::config::{Credentials, Protocol};

const UNAUTHENTICATED: &str = "CLIENT_ERROR unauthenticated\r\n";
const ALL: [Protocol; 3] = [Protocol::Auto, Protocol::Meta, Protocol::Text];

/// A client with user and password, and a connection for a get.
fn connected(protocol: Protocol) -> World {
    let credentials = Credentials::parse(b"me:secret\n".to_vec(), "1").ok();
    let mut w = world(Config { protocol, credentials, ..config(&[&["max=1"]]) });
    w.get("a", 1);
    w.client.connected(w.conn(0), w.now);
    w
}

/// The server has asked for them, and has this authentication in front of it.
fn asked(w: &mut World) -> String {
    assert_eq!(w.written(0), "version\r\n", "alone: memcached gives one answer to several commands");
    w.reply(0, UNAUTHENTICATED);
    w.written(0)
}

/// Its answers come byte by byte, and nothing is sent before each is complete.
fn slowly(w: &mut World, answer: &str) {
    for byte in answer.chars() {
        assert_eq!(w.written(0), "", "behind {answer:?}");
        w.reply(0, byte.encode_utf8(&mut [0; 4]));
    }
}

fn cause(w: &World) -> &Cause {
    match &w.events[..] {
        [Event::ConnectFailed { cause, .. }, ..] => cause,
        events => panic!("{events:?}"),
    }
}

#[test]
fn f38_nothing_is_sent_before_and_behind_the_authentication_until_it_is_answered() {
    for protocol in ALL {
        let mut w = connected(protocol);
        assert_eq!(w.written(0), "version\r\n");
        slowly(&mut w, UNAUTHENTICATED);
        let authentication = w.written(0);
        let key = authentication.split(' ').nth(1).unwrap().to_owned();
        assert!(key.starts_with("ngx_http_memcache_greeting_"), "a key of nobody");
        assert_eq!(authentication, format!("set {key} 0 -1 9\r\nme secret\r\n"));
        w.get("b", 2);
        slowly(&mut w, "STORED\r\n");
        let rest = w.written(0);
        match protocol {
            Protocol::Text => {
                assert_eq!(rest, "version\r\n");
                w.reply(0, "VERSION 1.6.18\r\n");
                assert!(w.written(0).starts_with("gets ngx_"));
            }
            _ => {
                assert_eq!(rest, "version\r\nmn\r\n", "what is sent without authentication");
                w.reply(0, "VERSION 1.6.18\r\nMN\r\n");
                assert!(w.written(0).starts_with("mg "));
                w.reply(0, "EN O1\r\nHD O2\r\nMN\r\n");
                assert!(w.written(0).starts_with("mg a "));
                assert!(w.client.is_ready(w.conn(0)));
            }
        }
        assert_eq!(w.events, []);
    }
}

/// memcached without `-Y` would keep them as an item that everybody can read.
#[test]
fn f38_who_does_not_ask_for_the_password_does_not_get_it() {
    let mut w = connected(Protocol::Auto);
    assert_eq!(w.written(0), "version\r\n");
    w.reply(0, "VERSION 1.6.18\r\n");
    assert_eq!(w.written(0), "mn\r\n");
    w.reply(0, "MN\r\n");
    assert!(w.written(0).starts_with("mg "));
    w.reply(0, "EN O1\r\nHD O2\r\nMN\r\n");
    assert!(w.client.is_ready(w.conn(0)));

    // A proxy may answer "version" by itself, and pass on what comes behind it.
    let mut w = connected(Protocol::Auto);
    w.written(0);
    w.reply(0, "VERSION 1.6.18\r\n");
    w.written(0);
    w.reply(0, UNAUTHENTICATED);
    assert!(!w.written(0).contains("secret"));

    for other in ["ERROR\r\n", "CLIENT_ERROR unauthenticated \r\n", "CLIENT_ERROR\r\n", "unauthenticated\r\n"] {
        for protocol in ALL {
            let mut w = connected(protocol);
            w.written(0);
            w.reply(0, other);
            assert_eq!((w.closed.len(), w.written(0)), (1, String::new()), "{other:?}");
        }
    }
}

/// The answer of one of its servers to another command. One that passes `version` on cannot be told from memcached.
#[test]
fn f38_a_proxy_does_not_get_it() {
    let mut w = connected(Protocol::Text);
    assert_eq!(w.written(0), "version\r\n");
    w.lose(0, Loss::Eof);
    w.client.connected(w.conn(1), w.now);
    assert!(w.written(1).starts_with("get ngx_"));
    w.reply(1, UNAUTHENTICATED);
    assert_eq!(w.written(1), "");
    assert_eq!(cause(&w), &Cause::Unfit(Unfit::Unauthenticated));
    // One that knows `version`.
    let mut w = connected(Protocol::Text);
    w.written(0);
    w.reply(0, "VERSION 0.5.0\r\n");
    assert!(w.written(0).starts_with("gets ngx_"));
    w.reply(0, UNAUTHENTICATED);
    assert_eq!(w.written(0), "");
    assert_eq!(cause(&w), &Cause::Unfit(Unfit::Unauthenticated));
}

#[test]
fn f38_a_refused_password_is_a_cause_of_its_own_and_never_text() {
    for protocol in ALL {
        for refusal in ["CLIENT_ERROR authentication failure\r\n", "CLIENT_ERROR bad authentication token format\r\n"] {
            let mut w = connected(protocol);
            asked(&mut w);
            w.reply(0, refusal);
            assert_eq!((w.closed.len(), w.written(0)), (1, String::new()));
            assert_eq!(cause(&w), &Cause::Unfit(Unfit::BadCredentials));
            assert_eq!((w.opened.len(), w.view().stats().failed), (1, 1), "the next one comes after a pause");
            let (fault, _) = w.view().counters.last_fault.get().unwrap();
            assert_eq!(fault.class(), "bad_credentials");
            assert_eq!(
                w.events[0].text(b"h:1"),
                "memcache: server \"h:1\" cannot be used: the server refused the user and password of memcache_auth_file"
            );
        }
        for (answer, loss) in [("", Loss::Eof), ("", Loss::Error), ("STORED\r", Loss::Eof)] {
            let mut w = connected(protocol);
            asked(&mut w);
            w.reply(0, answer);
            w.lose(0, loss);
            assert_eq!((cause(&w), w.opened.len()), (&Cause::Unfit(Unfit::Authentication), 1), "{answer:?} {loss:?}");
        }
        // A close behind the answer has other reasons, and so has an answer that is late.
        let mut w = connected(protocol);
        asked(&mut w);
        w.reply(0, "STORED\r\n");
        w.written(0);
        w.lose(0, Loss::Eof);
        assert!(w.events.iter().all(|event| !event.text(b"h:1").contains("authentication")), "{:?}", w.events);
        let mut w = connected(protocol);
        asked(&mut w);
        w.wait(Duration::from_secs(1));
        assert!(matches!(cause(&w), Cause::Unanswered(_)), "{:?}", w.events);
    }
}

/// The answer may have the password in it, in whole or in part, so no byte of it is kept.
#[test]
fn f38_a_strange_answer_is_not_quoted() {
    let behind =
        ["set x 0 -1 9\r\nme secret\r\n", "me secret", "STORED\r\nme secret\r\n", "STORED \r\n", "HD\r\n", "\0"];
    for answer in behind {
        let mut w = connected(Protocol::Auto);
        asked(&mut w);
        w.reply(0, answer);
        w.wait(Duration::from_secs(1));
        assert_eq!(w.closed.len(), 1, "{answer:?}");
        assert!(!format!("{:?}", w.events).contains("secret"), "{:?}", w.events);
        assert!(w.events.iter().all(|event| !event.text(b"h:1").contains("secret")));
    }
    for (then, answer) in
        [("", "VERSION"), ("VERSION 1.6.18\r\n", "me secret\r\n"), ("", "me secret\r\n"), ("", "me sec")]
    {
        let mut w = connected(Protocol::Auto);
        asked(&mut w);
        w.reply(0, "STORED\r\n");
        w.written(0);
        w.reply(0, then);
        w.reply(0, answer);
        if w.closed.is_empty() {
            w.lose(0, Loss::Eof);
        }
        assert!(!format!("{:?}", w.events).contains("sec"), "{:?}", w.events);
    }
    // Before all of it was sent.
    let mut w = connected(Protocol::Auto);
    w.written(0);
    w.reply(0, UNAUTHENTICATED);
    w.write(0, 50);
    w.reply(0, "me sec");
    assert_eq!(cause(&w), &Cause::Unfit(Unfit::Authentication));
}

/// It is sent once on a connection.
#[test]
fn f38_a_server_that_asks_again_is_not_answered_again() {
    for protocol in ALL {
        let mut w = connected(protocol);
        asked(&mut w);
        w.reply(0, "STORED\r\n");
        w.written(0);
        w.reply(0, UNAUTHENTICATED);
        assert_eq!((w.closed.len(), w.written(0)), (1, String::new()));
        assert_eq!(cause(&w), &Cause::Unfit(Unfit::Unauthenticated));
    }
}

/// memcached 1.6.45 with `-Y` closes the connection at `mn`, and answers `version` alone.
#[test]
fn f38_without_a_password_it_is_found_out_that_one_is_needed() {
    let mut w = one(&[]);
    w.get("a", 1);
    w.client.connected(w.conn(0), w.now);
    assert_eq!(w.written(0), "version\r\nmn\r\n");
    w.lose(0, Loss::Eof);
    w.client.connected(w.conn(1), w.now);
    assert_eq!(w.written(1), "version\r\n");
    w.reply(1, UNAUTHENTICATED);
    assert_eq!(cause(&w), &Cause::Unfit(Unfit::Unauthenticated));
}

/// A server may get its `-Y` with a restart. Each connection asks anew, whatever was known.
#[test]
fn f38_a_server_may_begin_and_cease_to_ask() {
    let mut w = connected(Protocol::Auto);
    w.written(0);
    for answer in ["VERSION 1.6.18\r\n", "MN\r\n", "EN O1\r\nHD O2\r\nMN\r\n"] {
        w.reply(0, answer);
        w.written(0);
    }
    w.reply(0, "EN O3\r\n");
    w.lose(0, Loss::Eof);
    w.get("b", 2);
    w.await_open(1);
    w.client.connected(w.conn(1), w.now);
    assert_eq!(w.written(1), "version\r\n");
    w.reply(1, UNAUTHENTICATED);
    assert!(w.written(1).ends_with("me secret\r\n"));
    w.reply(1, "STORED\r\n");
    assert_eq!(w.written(1), "version\r\nmn\r\n");
    w.reply(1, "VERSION 1.6.18\r\nMN\r\n");
    assert!(w.client.is_ready(w.conn(1)), "of a known version nothing else is tried");
}
