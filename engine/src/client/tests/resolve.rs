//! A server's addresses change while the client runs.

use super::*;
use crate::config::{Failover, Hash};
use crate::limits::MAX_ADDRESSES;
use crate::metrics::counter::Memory;
use crate::shared::SharedHealth;
use crate::stats::Fault;

fn with(addresses: usize, params: &[&str]) -> World {
    let mut config = config(&[params]);
    config.servers[0].addresses = addresses;
    world(config)
}

impl World {
    fn resolve(&mut self, former: &[Option<usize>]) -> bool {
        self.resolve_to(1, former)
    }

    fn resolve_to(&mut self, list: u64, former: &[Option<usize>]) -> bool {
        let known = self.client.set_addresses(0, list, former, self.now);
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
    assert!(!w.client.set_addresses(1, 1, &[None], w.now));
    assert!(!w.resolve(&[None; MAX_ADDRESSES + 1]));
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

/* no address */

impl World {
    fn is_unresolved(&mut self) {
        self.client.unresolved(0, self.now);
        self.outputs();
        self.client.check(self.now).unwrap();
    }

    fn downs(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::ServerDown { cause: Cause::Unresolved, .. })).count()
    }

    fn ups(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::ServerUp { .. })).count()
    }
}

#[test]
fn operations_wait_for_an_address() {
    let mut w = with(0, &["min=1"]);
    assert!(w.opened.is_empty());
    w.get("a", 1);
    w.set("b", "x", 2);
    assert_eq!((w.view().state, w.view().queued, w.opened.len()), (State::Live, 2, 0));
    assert!(w.resolve(&[None, None]));
    w.accept(0);
    let out = w.written(0);
    assert!(out.starts_with("mg a ") && out.contains("ms b "), "{out}");
    assert_eq!((w.view().address, w.client.config().servers[0].addresses), (0, 2));
}

#[test]
fn they_wait_no_longer_than_their_deadlines() {
    let mut w = with(0, &["min=1"]);
    w.get("a", 1);
    w.time_passes(Config::TIMEOUT);
    assert_eq!(w.done(), [(1, Err(Error::Timeout { maybe_applied: false }))]);
    assert_eq!((w.view().state, w.opened.len(), w.client.next_timeout()), (State::Live, 0, None));
}

#[test]
fn the_queue_is_as_long_as_ever() {
    let mut w = with(0, &[]);
    w.configure(|config| config.queue = 2);
    w.get("a", 1);
    w.get("a", 2);
    assert_eq!(w.submit("a", Verb::Get { touch: None }, 3), Err(Error::Busy));
    w.configure(|config| config.queue = 0);
    assert_eq!(w.submit("a", Verb::Get { touch: None }, 3), Err(Error::Busy));
    assert!(w.opened.is_empty());
}

#[test]
fn a_name_that_cannot_be_resolved_is_as_a_connect_that_is_refused() {
    let mut w = with(0, &["min=1"]);
    w.get("a", 1);
    w.is_unresolved();
    assert_eq!(w.done(), [(1, Err(Error::ServerDown))]);
    assert_eq!((w.view().state, w.downs()), (State::Down, 1));
    assert_eq!(w.view().counters.last_fault.get().unwrap().0, Fault::Unresolved);
    assert_eq!(w.submit("a", Verb::Get { touch: None }, 2), Err(Error::ServerDown));
    w.is_unresolved();
    w.wait(Duration::from_secs(600));
    assert_eq!((w.opened.len(), w.downs(), w.client.next_timeout()), (0, 1, None), "said once, and nothing to probe");

    assert!(w.resolve(&[None]));
    assert_eq!(w.opened.len(), 1, "at once");
    w.accept(0);
    assert_eq!((w.view().state, w.ups()), (State::Live, 1));
    w.get("a", 3);
    assert!(w.written(0).starts_with("mg a "));
}

#[test]
fn a_server_with_an_address_does_not_care_for_its_resolver() {
    let mut w = with(0, &["min=1"]);
    w.resolve(&[None]);
    w.accept(0);
    w.is_unresolved();
    assert_eq!((w.view().state, w.view().open, w.downs()), (State::Live, 1, 0));
    w.client.unresolved(7, w.now);
}

#[test]
fn others_stand_in_for_a_server_without_an_address() {
    let mut config = config(&[&[], &[]]);
    config.servers[0].addresses = 0;
    (config.failover, config.hash) = (Failover::Next, Hash::Modulo);
    let mut w = world(config);
    let key = ["foo", "cow", "key0"].into_iter().find(|key| w.client.server_of(key.as_bytes()) == Ok(0)).unwrap();
    w.get(key, 1);
    assert!(w.opened.is_empty());
    w.is_unresolved();
    w.done();
    w.get(key, 2);
    assert_eq!(w.opened[0].1, 1);
}

/// What waits for a name that is not known yet is for the servers that it turns out to be.
#[test]
fn a_server_without_an_address_that_leaves_hands_its_operations_over() {
    let mut w = with(0, &[]);
    w.set("foo", "one", 1);
    w.get("foo", 2);
    let mut found = config(&[&[]]).servers.remove(0);
    found.name = "10.0.0.9:11211".into();
    w.client.set_servers(1, vec![found], |_, _| ServerMemory::default(), w.now).unwrap();
    w.outputs();
    assert_eq!((w.gone.as_slice(), w.opened.len()), (&[0][..], 1));
    assert!(w.done().is_empty());
    w.accept(0);
    let out = w.written(0);
    assert!(out.starts_with("ms foo ") && out.contains("mg foo "), "{out}");
    assert!(!w.resolve(&[None]), "it has left");
    w.client.unresolved(0, w.now);
    assert_eq!(w.downs(), 0);
}

/* several clients */

fn share(addresses: usize) -> [World; 2] {
    let shared_health = Memory::<SharedHealth>::default();
    let one = |process| {
        let now = Instant::from_micros(1_000_000);
        let mut config = config(&[&["min=1", "ttl=0"]]);
        config.servers[0].addresses = addresses;
        let servers = vec![ServerMemory { shared_health: shared_health.clone(), ..ServerMemory::default() }];
        let client = Client::among(config, u64::from(process), WorkerMemory { process, servers }, now);
        let mut w = World::of(client, now);
        w.outputs();
        w
    };
    [one(1), one(2)]
}

/// The number of an address is of a list. Clients with different lists do not follow each other.
#[test]
fn r5_a_number_of_another_list_is_nothing_to_go_by() {
    let [mut a, mut b] = share(0);
    a.resolve_to(7, &[None, None]);
    b.resolve_to(8, &[None, None]);
    a.lose(0, Loss::Refused);
    a.accept(1);
    assert_eq!((a.view().address, a.opened[1].2), (1, 1), "it goes alone");
    b.get("a", 1);
    assert_eq!((b.view().address, b.opened.len()), (0, 1));
    b.lose(0, Loss::Refused);
    b.accept(1);
    assert_eq!(b.view().address, 1);
    // Now both have the same one.
    a.resolve_to(8, &[None, Some(1)]);
    assert_eq!((a.view().address, a.closed.len()), (1, 0), "which it has in both lists");
    b.resolve_to(9, &[None, None]);
    a.resolve_to(9, &[None, None]);
    assert_eq!((a.view().address, b.view().address), (0, 0));
    let (n, m) = (a.opened.len() - 1, b.opened.len() - 1);
    a.lose(n, Loss::Refused);
    a.accept(n + 1);
    assert_eq!(a.view().address, 1);
    b.get("b", 2);
    assert_eq!((b.view().address, b.opened[m + 1].2), (1, 1), "again they agree");
}

#[test]
fn r5_the_first_one_with_a_list_chooses() {
    let [mut a, mut b] = share(0);
    a.resolve_to(7, &[None, None]);
    a.lose(0, Loss::Refused);
    a.accept(1);
    b.resolve_to(7, &[None, None]);
    assert_eq!((b.view().address, b.opened[0].2), (1, 1));
}

/// One cannot resolve the name, others can: what it finds is for itself alone.
#[test]
fn a_name_that_one_cannot_resolve_brings_no_server_down_for_others() {
    let [mut a, mut b] = share(0);
    b.resolve_to(7, &[None]);
    b.accept(0);
    a.is_unresolved();
    assert_eq!(a.view().state, State::Down);
    b.get("a", 1);
    assert_eq!((b.view().state, b.opened.len()), (State::Live, 1));
    // They lose it, and find it again, which is nothing to the first one.
    b.lose(0, Loss::Error);
    b.done();
    b.get_or_error("a", 2);
    b.await_open(1);
    b.lose(1, Loss::Refused);
    assert_eq!(b.view().state, State::Down);
    a.get_or_error("a", 3);
    assert_eq!((a.view().state, a.opened.len()), (State::Down, 0));
    a.resolve_to(7, &[None]);
    a.accept(0);
    assert_eq!((a.view().state, a.ups()), (State::Live, 1));
    b.get("a", 4);
    assert_eq!((b.view().state, b.ups()), (State::Live, 0), "a line for all");
}
