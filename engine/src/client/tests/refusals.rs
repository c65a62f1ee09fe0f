//! Error replies of servers, and replies that come too early.

use super::*;

#[test]
fn f28_an_error_before_the_body_was_sent() {
    let mut w = one(&["max=1"]);
    w.set("a", &"x".repeat(1000), 1);
    w.get("b", 2);
    w.accept(0);
    assert_eq!(w.write(0, 100).len(), 100);
    w.reply(0, "SERVER_ERROR out of memory storing object\r\n");
    assert_eq!(w.done(), [(1, Err(Error::Server("out of memory storing object".into())))]);
    assert_eq!(w.closed, [w.conn(0)], "where the server goes on reading is not known");
    w.accept(1);
    assert!(w.written(1).starts_with("mg b "));
}

#[test]
fn f28_an_answer_before_the_body_was_sent_is_a_lie() {
    let mut w = one(&["max=1"]);
    w.set("a", &"x".repeat(1000), 1);
    w.accept(0);
    let t = tokens(&w.write(0, 100))[0];
    w.reply(0, &format!("HD O{t}\r\n"));
    assert_eq!(w.done(), [(1, Err(Error::Protocol { maybe_applied: true }))]);
}

/// After a request without a value, the server reads the next request from its beginning, whatever the error was.
#[test]
fn r18_a_refused_request_without_a_value_ends_itself_alone() {
    let incr = Verb::Count { direction: crate::Direction::Incr, delta: 1, initial: None, cas: 0 };
    let keyed =
        [incr, Verb::Get { touch: None }, Verb::Touch { ttl: Ttl::NEVER }, Verb::Delete { cas: 0 }, Verb::Inspect];
    let on_server = [ServerVerb::FlushAll { delay: 0 }, ServerVerb::Stats, ServerVerb::Version, ServerVerb::Noop];
    let errors = [
        ("CLIENT_ERROR flush_all not allowed\r\n", Error::Client(Bytes::from_static(b"flush_all not allowed"))),
        ("ERROR\r\n", Error::Client(Bytes::new())),
        ("SERVER_ERROR out of memory\r\n", Error::Server(Bytes::from_static(b"out of memory"))),
    ];
    for number in 0..keyed.len() + on_server.len() {
        for (line, error) in &errors {
            let mut w = one(&["max=1"]);
            match keyed.get(number) {
                Some(verb) => drop(w.submit("refused", verb.clone(), 1).unwrap()),
                None => {
                    let verb = on_server[number - keyed.len()];
                    w.client.submit_to(0, verb, None, 1, w.now).unwrap();
                    w.outputs();
                }
            }
            w.set("other", "v", 2);
            w.accept(0);
            let mut written = w.written(0);
            let mut replies = String::from(*line);
            if written == "flush_all\r\n" {
                w.reply(0, &std::mem::take(&mut replies));
                written = w.written(0);
            }
            let token = *tokens(&written).last().unwrap();
            w.reply(0, &format!("{replies}HD O{token}\r\n"));
            assert_eq!(w.done(), [(1, Err(error.clone())), (2, Ok(Outcome::Done))], "{line}");
            assert!(w.closed.is_empty() && w.events.is_empty());
        }
    }
}

/// Two errors in a row may both be for one request: no operation gets the second, and its own operation is sent again.
#[test]
fn r18_f30_two_refusals_in_a_row_are_told_to_one() {
    let mut w = one(&["max=1"]);
    for n in 1..=3 {
        w.get("k", n);
    }
    w.accept(0);
    let t = tokens(&w.written(0));
    w.reply(0, &format!("ERROR\r\nEN kk O{}\r\nERROR\r\n", t[1]));
    assert_eq!(w.done().len(), 3, "each of the two was confirmed by a token");
    assert!(w.closed.is_empty());
    w.get("a", 4);
    w.get("b", 5);
    w.written(0);
    w.reply(0, "ERROR\r\n");
    assert!(w.done().is_empty());
    assert_eq!(w.closed, [w.conn(0)]);
    w.accept(1);
    assert_eq!(tokens(&w.written(1)).len(), 2, "both are sent again");
    assert_eq!(w.view().state, State::Live);
}

#[test]
fn f29_a_refused_store_ends_the_connection() {
    for line in ["CLIENT_ERROR bad command line format\r\n", "ERROR\r\n"] {
        let mut w = one(&["max=1"]);
        w.set("a", "v", 2);
        w.set("b", "v", 3);
        w.accept(0);
        w.written(0);
        w.get("c", 4);
        w.reply(0, line);
        let done = w.done();
        assert!(matches!(done[..], [(2, Err(Error::Client(_))), (3, Err(Error::Unknown { maybe_applied: true }))]));
        assert_eq!(w.closed, [w.conn(0)]);
        assert_eq!(w.view().state, State::Live);
        w.accept(1);
        assert!(w.written(1).starts_with("mg c "));
    }
}

/// A value of known size is refused, and counted like one that was submitted.
#[test]
fn a_value_that_is_too_large_is_counted_by_its_size_alone() {
    let mut w = world(config(&[&["max=1"], &["max=1"]]));
    let home = w.client.server_within(Subset::ALL, b"k").unwrap();
    let limit = w.client.config.max_value;
    let rejected = w.client.refuse_value(Subset::ALL, b"k", limit + 1, 7, w.now);
    assert_eq!((rejected.error, rejected.context), (Error::TooLarge { size: limit + 1, limit }, 7));
    let counted = |w: &World, server| w.client.server(server).unwrap().stats().errors.too_large;
    assert_eq!((counted(&w, home), counted(&w, 1 - home)), (1, 0));

    let rejected = w.client.refuse_value(Subset::ALL, b"", limit + 1, 8, w.now);
    assert!(matches!(rejected.error, Error::InvalidKey(_)), "{:?}", rejected.error);
    assert_eq!((counted(&w, 0) + counted(&w, 1), w.client.pending()), (1, 0));
}
