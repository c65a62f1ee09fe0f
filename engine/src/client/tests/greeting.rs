//! The greeting of a server.

use super::*;
use crate::config::Protocol;
use crate::protocol::version::Version;

const TRIED: &str = "EN O1\r\nHD O2\r\nMN\r\n";

/// One server that has to speak meta.
fn one_in_meta() -> World {
    world(Config { protocol: Protocol::Meta, ..config(&[&[]]) })
}

/// A connection for a get, whose server answers the greeting with this.
fn greeted(answers: &[&str]) -> World {
    let mut w = one_in_meta();
    w.get("a", 1);
    w.client.connected(w.conn(0), w.now);
    for answer in answers {
        let asked = w.written(0);
        assert!(!asked.is_empty() || answers.len() > 1, "{answer} to nothing");
        w.reply(0, answer);
    }
    w
}

/// The cause of the connection's end.
fn unfit(w: &World) -> &Unfit {
    assert_eq!(w.closed, [w.conn(0)]);
    match &w.events[..] {
        [Event::ConnectFailed { cause: Cause::Unfit(unfit), .. }, ..] => unfit,
        events => panic!("{events:?}"),
    }
}

#[test]
fn r2_a_memcached_that_is_too_old_gets_nothing_but_the_greeting() {
    for (text, version) in
        [("1.6.9", Version::new(1, 6, 9)), ("1.6.6", Version::new(1, 6, 6)), ("1.4.39_3_gabc", Version::new(1, 4, 39))]
    {
        let mut w = greeted(&[&format!("VERSION {text}\r\nMN\r\n")]);
        assert_eq!(unfit(&w), &Unfit::TooOld(version));
        assert_eq!(w.view().state, State::Down, "nothing of it is a question of time");
        assert_eq!(w.done(), [(1, Err(Error::ServerDown))]);
        assert_eq!(w.view().counters.gauges.version(), Some(version), "for the status");
        let (fault, _) = w.view().counters.last_fault.get().unwrap();
        assert_eq!(fault.class(), "too_old");
        let line =
            format!("memcache: server \"h:1\" is memcached {version}, which is too old: 1.6.10 or later is needed");
        assert_eq!(w.events[0].text(b"h:1"), line);
    }
}

/// The answers come together, or byte by byte.
#[test]
fn r2_what_resembles_memcached_is_not_asked_for_more_than_was_tried() {
    let v = "VERSION 1.6.18\r\n";
    let mn = format!("{v}MN\r\n");
    let dialect = |tried, answer: &'static str| Unfit::Dialect { tried, answer: Bytes::from_static(answer.as_bytes()) };
    let foreign = |bytes: &'static str| Unfit::Foreign(Bytes::from_static(bytes.as_bytes()));
    let cases: Vec<(Vec<&str>, Unfit)> = vec![
        (vec!["ERROR\r\n"], foreign("ERROR\r\n")),
        (vec!["HTTP/1.1 400 Bad Request\r\n"], foreign("HTTP/1.1 400 Bad Request\r\n")),
        (vec!["VERSION\r\n"], foreign("VERSION\r\n")),
        (vec!["MN\r\n"], foreign("MN\r\n")),
        (vec!["ERROR Too many open connections\r\n"], Unfit::TooManyConnections),
        (vec!["CLIENT_ERROR unauthenticated\r\n"], Unfit::Unauthenticated),
        (vec![v, "EN\r\n"], dialect("mn", "EN\r\n")),
        (vec![v, "ERROR\r\n"], dialect("mn", "ERROR\r\n")),
        // More than was asked for.
        (vec![&mn, "MN\r\nMN\r\n"], dialect("mg", "MN\r\nMN\r\n")),
        (vec![&mn, "EN O1\r\nHD O2\r\nMN\r\nMN\r\n"], dialect("mn", "MN\r\n")),
        // Another dialect: Dragonfly, and what runs the value of a store.
        (vec![&mn, "CLIENT_ERROR bad\r\n"], dialect("mg", "CLIENT_ERROR bad\r\n")),
        (vec![&mn, "EN\r\nCLIENT_ERROR bad\r\nERROR\r\nMN\r\n"], dialect("ms", "CLIENT_ERROR bad\r\nERROR\r\nMN\r\n")),
        (vec![&mn, "EN\r\nHD O2\r\nERROR\r\nMN\r\n"], dialect("mn", "ERROR\r\nMN\r\n")),
        (vec![&mn, "EN\r\nSERVER_ERROR x\r\nERROR\r\nMN\r\n"], dialect("mn", "ERROR\r\nMN\r\n")),
        // A token, or none, that is another's.
        (vec![&mn, "EN O7\r\nHD O2\r\nMN\r\n"], dialect("mg", "EN O7\r\nHD O2\r\nMN\r\n")),
        (vec![&mn, "EN\r\nHD\r\nMN\r\n"], dialect("ms", "HD\r\nMN\r\n")),
        (vec![&mn, "EN\r\nSTORED\r\nMN\r\n"], dialect("ms", "STORED\r\nMN\r\n")),
        // What is no memcached is not believed that it has read the value of a store that it refuses.
        (vec!["VERSION df 1\r\nMN\r\n", "EN\r\nSERVER_ERROR x\r\nMN\r\n"], dialect("ms", "SERVER_ERROR x\r\nMN\r\n")),
    ];
    for (answers, expected) in cases {
        let whole = greeted(&answers);
        assert_eq!(unfit(&whole), &expected, "{answers:?}");
        assert_eq!(whole.view().state, State::Live, "not after the first time: {answers:?}");
        assert!(!whole.events[0].text(b"h:1").is_empty());
    }
}

#[test]
fn r2_a_whole_greeting_in_pieces_of_a_byte() {
    let mut w = one(&[]);
    w.get("a", 1);
    w.client.connected(w.conn(0), w.now);
    assert_eq!(w.written(0), "version\r\nmn\r\n");
    for answers in ["VERSION 1.6.38\r\nMN\r\n", TRIED] {
        for byte in answers.chars() {
            assert_eq!(w.written(0), "", "nothing is asked before it is answered");
            w.reply(0, byte.encode_utf8(&mut [0; 4]));
        }
        if answers != TRIED {
            let tries = w.written(0);
            let key = tries.split(' ').nth(1).unwrap().to_owned();
            let expected = format!("mg {key} b s v f c t l h u k T1 O1\r\nms {key} 0 b T1 F1 O2\r\n\r\nmn\r\n");
            assert_eq!(tries, expected);
        }
    }
    assert!(w.written(0).starts_with("mg a "));
    assert_eq!(w.view().counters.gauges.version(), Some(Version::new(1, 6, 38)));
}

/// memcached sends this if it has no memory for the item, its proxy if it has no server for the key.
#[test]
fn r2_a_memcached_may_fail_to_carry_out_what_is_tried() {
    let mut w = greeted(&["VERSION 1.6.45\r\nMN\r\n", "SERVER_ERROR no route\r\nSERVER_ERROR out of memory\r\nMN\r\n"]);
    assert!(w.written(0).starts_with("mg a "));
}

/// Greets on the connection that was requested last. True if the server is tried.
fn is_tried(w: &mut World, version: &str) -> bool {
    let n = w.opened.len() - 1;
    w.client.connected(w.conn(n), w.now);
    w.written(n);
    w.reply(n, &format!("VERSION {version}\r\nMN\r\n"));
    let tried = w.written(n).contains("\r\nms ");
    if tried {
        w.reply(n, TRIED);
    }
    tried
}

#[test]
fn r2_what_has_passed_is_not_tried_again_unless_it_is_another_version() {
    let mut w = one(&["max=4"]);
    w.configure(|config| config.pipeline = 1);
    for (n, version, tried) in [(0, "1.6.18", true), (1, "1.6.18", false), (2, "1.6.38", true), (3, "1.6.38", false)] {
        w.get("a", 1);
        w.await_open(n);
        assert_eq!(is_tried(&mut w, version), tried, "{n}");
    }
}

#[test]
fn r2_what_was_down_is_tried_again() {
    let mut w = one(&["max=1"]);
    w.get("a", 1);
    assert!(is_tried(&mut w, "1.6.18"));
    w.lose(0, Loss::Error);
    w.await_open(1);
    w.lose(1, Loss::Refused);
    assert_eq!(w.view().state, State::Down);
    w.wait(Duration::from_secs(8));
    assert!(is_tried(&mut w, "1.6.18"));
}

/// Servers that answer too early, close the connection, or stay silent.
#[test]
fn r27_what_was_seen_is_what_is_reported() {
    let mut w = one_in_meta();
    w.configure(|config| config.max_fails = 1);
    w.get("a", 1);
    w.client.connected(w.conn(0), w.now);
    w.written(0);
    w.lose(0, Loss::Eof);
    let expected = |event: &Event| matches!(event, Event::ConnectFailed { cause: Cause::HungUp, .. });
    assert!(expected(&w.events[0]), "nobody else says so: {:?}", w.events);
    assert!(matches!(&w.events[1..], [Event::ServerDown { cause: Cause::HungUp, .. }]), "{:?}", w.events);

    // An alert of TLS, which comes after the handshake with TLS 1.3, is news here, and none of the handshake itself.
    for (connected, expected) in [(true, Cause::TlsRefused), (false, Cause::Lost(Loss::Handshake))] {
        let mut w = one(&["max=1"]);
        w.configure(|config| config.max_fails = 1);
        w.get("a", 1);
        if connected {
            w.client.connected(w.conn(0), w.now);
        }
        w.lose(0, Loss::Handshake);
        let (down, news) = w.events.split_last().unwrap();
        assert_eq!(down, &Event::ServerDown { server: 0, cause: expected.clone() });
        assert_eq!((news.len(), w.opened.len()), (usize::from(connected), 1), "{:?}", w.events);
        assert_eq!(w.view().counters.last_fault.get().unwrap().0.class(), "tls_failed");
        assert_eq!(
            Event::ConnectFailed { server: 0, cause: expected }.text(b"h:1"),
            "memcache: no connection to \"h:1\": the TLS handshake failed"
        );
    }

    let mut w = one(&[]);
    w.configure(|config| config.max_fails = 1);
    w.get("a", 1);
    w.client.connected(w.conn(0), w.now);
    w.written(0);
    w.wait(Config::CONNECT_TIMEOUT);
    assert!(matches!(&w.events[0], Event::ConnectFailed { cause: Cause::Unanswered(_), .. }), "{:?}", w.events);

    let mut w = one(&[]);
    w.get("a", 1);
    w.reply(0, "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n");
    assert_eq!(unfit(&w), &Unfit::Foreign(Bytes::from_static(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+d")), "cut");
}

/// If a server has worked, trouble with a new connection is no sign of TLS or of another protocol.
#[test]
fn what_a_server_that_has_worked_may_have_is_said() {
    let reason = |closes: bool| {
        let mut w = one(&[]);
        w.get("a", 1);
        w.client.connected(w.conn(0), w.now);
        w.written(0);
        w.reply(0, "VERSION 1.6.18\r\nMN\r\n");
        w.written(0);
        w.reply(0, TRIED);
        w.lose(0, Loss::Eof);
        w.events.clear();
        w.get("b", 2);
        w.wait(Duration::from_millis(100));
        w.client.connected(w.conn(1), w.now);
        w.written(1);
        match closes {
            true => w.lose(1, Loss::Eof),
            false => w.wait(Config::CONNECT_TIMEOUT),
        }
        let failed = w.events.iter().find(|event| matches!(event, Event::ConnectFailed { .. }));
        failed.unwrap_or_else(|| panic!("{:?}", w.events)).text(b"h:1")
    };
    let text = "memcache: no connection to \"h:1\": ";
    assert_eq!(reason(false), format!("{text}connected, but the greeting is not answered any more after 200ms"));
    assert_eq!(reason(true), format!("{text}closed by the server at the greeting, which it answered before"));
}

/// A connect that fails in a way that others would, too, brings the server down at once, whatever the system's error
/// is.
#[test]
fn r27_a_connect_that_is_refused_in_any_way_is_enough() {
    for loss in [Loss::Refused, Loss::NoSocket, Loss::Denied, Loss::Unreachable, Loss::Connect] {
        let mut w = one(&[]);
        w.get("a", 1);
        w.lose(0, loss);
        let down = |event: &Event| *event == Event::ServerDown { server: 0, cause: Cause::Lost(loss) };
        assert!(matches!(&w.events[..], [event] if down(event)), "{:?}", w.events);
        assert_eq!(w.view().state, State::Down, "{loss:?}");
    }
}

/// TLS has no lines: its bytes are recognised when no more come.
#[test]
fn r27_what_is_no_line_is_seen_in_the_end() {
    let alert = "\x15\x03\x03\0\x02\x02F";
    for (said, foreign) in [(alert, true), ("+", true), ("VERS", false), ("VERSION 1.6.1", false)] {
        for closes in [true, false] {
            let mut w = one(&[]);
            w.get("a", 1);
            w.client.connected(w.conn(0), w.now);
            w.written(0);
            w.reply(0, said);
            assert!(w.events.is_empty(), "there may be more of it");
            if closes {
                w.lose(0, Loss::Eof);
            } else {
                w.wait(Config::CONNECT_TIMEOUT);
            }
            let cause = match (foreign, closes) {
                (true, _) => Cause::Unfit(Unfit::Foreign(Bytes::copy_from_slice(said.as_bytes()))),
                (false, true) => Cause::HungUp,
                (false, false) => Cause::Unanswered(Config::CONNECT_TIMEOUT),
            };
            assert_eq!(w.events[0], Event::ConnectFailed { server: 0, cause }, "{said:?} {closes}");
        }
    }
}
