//! A server's addresses change while the client runs.

use super::*;

fn with(addresses: usize, params: &[&str]) -> World {
    let mut config = config(&[params]);
    config.servers[0].addresses = addresses;
    world(config)
}

impl World {
    fn resolve(&mut self, former: &[Option<usize>]) -> bool {
        let known = self.client.set_addresses(0, former, self.now);
        self.outputs();
        self.client.check(self.now).unwrap();
        known
    }
}

#[test]
fn new_connections_go_to_the_new_address_and_old_ones_finish() {
    let mut w = with(1, &["min=2", "smax=2", "max=2"]);
    (0..2).for_each(|n| w.accept(n));
    w.set("a", "one", 1);
    let out = w.written(0);
    assert!(w.resolve(&[None]));
    assert_eq!(w.closed, [w.conn(1)], "the idle one");
    assert_eq!((w.opened.len(), w.opened[2].2, w.view().elsewhere), (3, 0, 1), "at once");
    w.get("a", 2);
    w.accept(2);
    assert_eq!((w.written(0), w.written(2)), (String::new(), String::new()), "it waits for the answer there");
    w.reply(0, &format!("HD c5 O{}\r\n", tokens(&out)[0]));
    assert_eq!((w.done(), w.closed.len()), (vec![(1, Ok(Outcome::Done))], 2));
    assert!(w.written(2).starts_with("mg a "));
}

#[test]
fn an_address_that_is_in_both_lists_keeps_its_connections() {
    let mut w = with(2, &["min=1", "ttl=0"]);
    w.accept(0);
    assert!(w.resolve(&[None, Some(1), Some(0)]));
    assert_eq!((w.view().address, w.view().open, w.closed.len()), (2, 1, 0));
    assert_eq!(w.client.config().servers[0].addresses, 3);
    w.get("a", 1);
    assert!(w.written(0).starts_with("mg a "));
    assert_eq!(w.opened.len(), 2, "the first address is tried");
    assert_eq!((w.opened[1].2, w.view().elsewhere), (0, 1));
}

#[test]
fn no_address_or_no_server_changes_nothing() {
    let mut w = with(2, &["min=1"]);
    w.accept(0);
    assert!(!w.resolve(&[]));
    assert!(!w.client.set_addresses(1, &[None], w.now));
    assert_eq!((w.view().open, w.client.config().servers[0].addresses), (1, 2));
}

/// A pod that is gone and has another address now is not waited for until the next probe.
#[test]
fn a_server_that_is_down_is_tried_at_once() {
    let mut w = with(1, &["max=1"]);
    w.get("a", 1);
    w.lose(0, Loss::Refused);
    assert_eq!(w.view().state, State::Down);
    w.resolve(&[None]);
    assert_eq!(w.opened.len(), 2);
    w.accept(1);
    assert_eq!(w.view().state, State::Live);
}

#[test]
fn a_connect_to_an_address_that_is_not_there_any_more_is_given_up() {
    let mut w = with(2, &["max=1"]);
    w.get("a", 1);
    w.lose(0, Loss::Refused);
    assert_eq!(w.opened[1].2, 1);
    w.resolve(&[Some(0)]);
    assert_eq!(w.closed, [w.conn(1)]);
    w.await_open(2);
    assert_eq!(w.opened[2].2, 0);
    w.accept(2);
    assert!(w.written(2).starts_with("mg a "));
}

/// What hangs at the former address does not keep the others waiting for longer than a deadline.
#[test]
fn what_hangs_at_the_former_address_is_given_up() {
    let mut w = with(1, &["max=1"]);
    w.get("a", 1);
    w.accept(0);
    w.written(0);
    w.wait(Config::TIMEOUT / 2);
    w.resolve(&[None]);
    w.get("b", 2);
    w.wait(Config::TIMEOUT);
    assert_eq!(w.closed, [w.conn(0)]);
    w.get("c", 3);
    w.await_open(1);
    w.accept(1);
    assert!(w.written(1).contains("mg c "));
}
