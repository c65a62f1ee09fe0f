//! How operations are routed as the list changes.

use std::num::NonZeroU32;

use super::*;
use crate::config::{Failover, Protocol};
use crate::operation::reply::{Lease, Part};
use crate::operation::request::Direction;

#[test]
fn a_batch_is_answered_by_those_that_have_its_keys() {
    let mut w = world(three());
    let keys = ["foo", "cow", "key0"].map(str::as_bytes);
    w.client.submit_many(Subset::ALL, keys, None, None, 1, w.now).unwrap();
    w.outputs();
    w.list(&[0, 2]);
    assert_eq!(w.opened.iter().map(|opened| opened.1).collect::<Vec<_>>(), [1, 0, 2]);
    w.accept(1);
    w.accept(2);
    w.answer_with(1, "0");
    w.answer_with(2, "2");
    let part = |value| Part { answer: item(value, 0, 1), stand_in: false };
    assert_eq!(w.done(), [(1, Ok(Outcome::Many(vec![part("2"), part("0"), part("2")])))]);
}

#[test]
fn a_subset_follows_the_list() {
    let mut w = world(three());
    let some = w.client.subset(Subset::ALL, &[0, 1]).unwrap();
    let within = |w: &mut World, tag| {
        let request = Request { key: b"foo", verb: Verb::Get { touch: None }, timeout: None };
        let call = w.client.submit_within(some, request, tag, w.now).map_err(|rejected| rejected.error);
        w.outputs();
        call
    };
    w.list(&[3, 2, 0]);
    assert_eq!(w.client.servers_of(some), [0]);
    assert_eq!((w.client.places(some), w.client.server_at(some, 0), w.client.server_at(some, 1)), (2, Some(0), None));
    assert_eq!((w.client.place_of(some, 0), w.client.place_of(some, 1)), (Some(0), Some(1)));
    assert!(within(&mut w, 1).is_ok());
    assert_eq!(w.opened.last().unwrap().1, 0);
    w.list(&[3, 2]);
    assert_eq!(within(&mut w, 2), Err(Error::ServerDown));
    assert_eq!(w.client.server_within(some, b"foo"), Err(Error::ServerDown));
    assert_eq!(w.done(), [(1, Err(Error::ServerDown))], "it is not routed out of its subset");
    w.list(&[1, 0, 2]);
    assert_eq!(w.client.servers_of(some), [1, 0], "in the order of the list");
    assert!(within(&mut w, 3).is_ok());
    let same = w.client.subset(Subset::ALL, &[1, 0]).unwrap();
    assert_eq!(same, some);
    assert_eq!(w.client.servers_of(Subset::ALL), [1, 0, 2]);
}

#[test]
fn a_shared_exchange_parts_where_subsets_part() {
    let mut config = three();
    config.coalesce = true;
    let mut w = world(config);
    let some = w.client.subset(Subset::ALL, &[0, 1]).unwrap();
    w.get("foo", 1);
    w.get("foo", 2);
    let request = Request { key: b"foo", verb: Verb::Get { touch: None }, timeout: None };
    assert_eq!(w.client.server_within(some, b"foo"), Ok(1));
    w.client.submit_within(some, request, 3, w.now).unwrap();
    w.list(&[0, 2]);
    w.get("foo", 4);
    assert_eq!(w.opened[1..].iter().map(|opened| opened.1).collect::<Vec<_>>(), [0, 2]);
    for (n, value) in [(1, "0"), (2, "2")] {
        w.accept(n);
        assert_eq!(w.client.network.connections.get(w.conn(n)).unwrap().load(), 1, "one exchange each");
        w.answer_with(n, value);
    }
    let mut done = w.done();
    done.sort_by_key(|(tag, _)| *tag);
    assert_eq!(done, [(1, item("2", 0, 1)), (2, item("2", 0, 1)), (3, item("0", 0, 1)), (4, item("2", 0, 1))]);
}

#[test]
fn a_lease_that_waits_asks_the_new_server() {
    let mut w = world(three());
    let verb = Verb::Lease { vivify: NonZeroU32::new(30).unwrap(), recache: 0, wait: true };
    w.submit("foo", verb.clone(), 1).unwrap();
    w.submit("foo", verb, 2).unwrap();
    w.accept(0);
    for token in tokens(&w.written(0)) {
        w.reply(0, &format!("VA 0 f0 c5 kfoo O{token} Z\r\n\r\n"));
    }
    assert_eq!((w.done().len(), w.client.pending()), (0, 2), "they wait");
    w.list(&[0, 2]);
    assert_eq!(w.gone, [1]);
    let at = w.client.next_timeout().unwrap();
    w.wait(at.since(w.now));
    w.accept(1);
    assert_eq!(w.opened[1].1, 2);
    let out = w.written(1);
    assert!(out.starts_with("mg foo "), "{out}");
    w.reply(1, &format!("VA 1 f0 c7 t30 s1 kfoo O{}\r\nv\r\n", tokens(&out)[0]));
    let done: Vec<_> = std::iter::from_fn(|| w.client.poll_completion()).collect();
    assert!(matches!(done[0].answer, Ok(Outcome::Lease(Lease::Hit(_)))), "{done:?}");
    assert_eq!(done.iter().map(|done| (done.server, done.stand_in)).collect::<Vec<_>>(), [(2, false); 2]);
}

#[test]
fn failover_is_by_the_new_list() {
    let mut config = three();
    config.failover = Failover::Next;
    let mut w = world(config);
    w.get("foo", 1);
    w.lose(0, Loss::Refused);
    assert_eq!(w.opened[1].1, 2, "it stands in");
    w.list(&[1, 0, 2]);
    assert_eq!(w.opened.len(), 2, "the operation stays where it is");
    w.list(&[1, 0]);
    assert_eq!((w.gone.as_slice(), w.opened[2].1), (&[2][..], 0));
    w.accept(2);
    w.answer_with(2, "v");
    let done: Vec<_> = std::iter::from_fn(|| w.client.poll_completion()).collect();
    assert_eq!((done[0].server, done[0].answer.clone()), (0, item("v", 0, 1)));
    assert!(w.client.explain(b"foo").unwrap().0.candidates.iter().all(|id| [0, 1].contains(id)));
}

#[test]
fn a_count_in_steps_begins_anew() {
    let mut config = three();
    config.protocol = Protocol::Text;
    let mut w = world(config);
    let verb = Verb::Count { direction: Direction::Incr, delta: 3, initial: Some((10, Ttl::NEVER)), cas: 0 };
    w.submit("foo", verb, 1).unwrap();
    text::greet(&mut w, 0, text::older);
    assert_eq!(w.written(0), "incr foo 3\r\n");
    w.list(&[0, 2]);
    w.reply(0, "NOT_FOUND\r\n");
    assert_eq!((w.done().len(), w.gone.as_slice()), (0, &[1][..]));
    text::greet(&mut w, 1, text::older);
    assert_eq!(w.written(1), "incr foo 3\r\n");
    w.reply(1, "NOT_FOUND\r\n");
    assert!(w.written(1).starts_with("add foo "));
    w.reply(1, "STORED\r\n");
    assert_eq!(w.done(), [(1, Ok(Outcome::Number(10)))]);
}

/// The place of a server and its place in the list are not the same any more.
#[test]
fn what_is_not_supported_names_the_server_that_was_asked() {
    let mut w = world(three());
    w.list(&[2]);
    let refused = || Err(Error::Unsupported("server 10.0.0.2:11211 speaks text: it has no metadata".into()));
    w.submit("cow", Verb::Inspect, 1).unwrap();
    text::greet(&mut w, 0, text::older);
    assert_eq!(w.done(), [(1, refused())], "while it waits");
    w.submit("cow", Verb::Inspect, 2).unwrap();
    assert_eq!(w.done(), [(2, refused())], "on its connection");
    let key = w.client.explain(b"a key").map(|_| ()).unwrap_err().to_string();
    assert!(key.contains("10.0.0.2:11211"), "{key}");
}
